# frozen_string_literal: true

# Holds the built-in classes to the methods that they have. A solution may add methods; it may
# replace none, and from the moment that it is loaded nothing is added any more. Object alone stays
# open, since what a program defines at its top level, or within a method there, belongs to it: it
# is watched.
#
# What is called here is called as it was before the solution: by its unbound method.
module Plum
  class Builtins
    KEPT = [
      BasicObject, Kernel, Comparable, Enumerable, NilClass, TrueClass, FalseClass, Numeric,
      Integer, Float, Rational, Complex, String, Symbol, Array, Hash, Range, Struct, Regexp,
      MatchData, Time, Enumerator, Proc, Module, Class, Math, Random,
      *ObjectSpace.each_object(Exception.singleton_class)
                  .select { |found| found.name.match?(/\A[A-Z]\w*\z/) }
    ].freeze
    # Names that the suite finds its tools by.
    NAMES = (KEPT.map(&:name) + %w[Object Plum Test Minitest MiniTest]).map(&:to_sym).freeze
    # Of Kernel: what a solution may well call a function of its own.
    OPEN = %i[
      puts print p pp printf putc gets readline readlines format sprintf display test select open
      sleep rand srand warn system spawn trap methods hash to_s inspect then tap autoload
      method_missing respond_to_missing? Array Integer Float String Hash Rational Complex
    ].freeze

    # What is looked at in libraries, which may change other methods of theirs themselves.
    OF_LIBRARIES = %i[
      == != === eql? equal? <=> hash nil? ! include? member? empty? size length to_a
    ].freeze

    EACH = Array.instance_method(:each)
    KEY = Hash.instance_method(:key?)
    METHOD = Module.instance_method(:instance_method)
    OWN_METHODS = %i[instance_methods private_instance_methods]
                  .map { |name| Module.instance_method(name) }.freeze
    DEFINES = Module.instance_method(:method_defined?)
    DEFINES_PRIVATE = Module.instance_method(:private_method_defined?)
    ANCESTORS = Module.instance_method(:ancestors)
    CONSTANT = Module.instance_method(:const_get)
    SAME_METHOD = UnboundMethod.instance_method(:==)
    SAME = BasicObject.instance_method(:equal?)
    FREEZE = Module.instance_method(:freeze)

    # Takes down what there is. libraries: classes of theirs. `tamper`: called with what is replaced
    # once Object is watched.
    def initialize(libraries, &tamper)
      @tamper = tamper
      @watching = false
      watch_object
      kept = [*KEPT, Object].flat_map { |owner| [owner, owner.singleton_class] } - [Object]
      @methods = kept.map { |owner| [owner, methods_of(owner, own_names(owner))] }
      @own = @methods.map { |owner, methods| [owner, methods.to_h { |name, _| [name, true] }] }
      @methods += libraries.map do |owner|
        [owner, methods_of(owner, OF_LIBRARIES & all_names(owner))]
      end
      @ancestors = KEPT.map do |owner|
        [owner, owner.ancestors.to_h { |one| [one, true] }.compare_by_identity]
      end
      names = NAMES + libraries.filter_map { |owner| owner.name&.to_sym }.grep(/\A[A-Z]\w*\z/)
      @constants = names.map { |name| [name, Object.const_get(name)] }
      @open = OPEN.to_h { |name| [name, true] }
      @of_object = (all_names(Kernel) + all_names(BasicObject) - OPEN).uniq
                   .map { |name| [name, Object.instance_method(name)] }
      @names_of_object = @of_object.to_h { |name, _| [name, true] }
    end

    # What the solution has replaced, as a text; nil where it has replaced nothing.
    def replaced
      replaced_method(@methods) || replaced_method([[Object, @of_object]]) || hidden || shadowed ||
        replaced_constant
    end

    def hold
      EACH.bind_call(KEPT) { |owner| FREEZE.bind_call(owner) }
      FREEZE.bind_call(Object.singleton_class)
      each_new_ancestor { |_, ancestor| FREEZE.bind_call(ancestor) }
      @watching = true
    end

    private

    def own_names(owner)
      owner.instance_methods(false) + owner.private_instance_methods(false)
    end

    def methods_of(owner, names)
      names.map { |name| [name, owner.instance_method(name)] }
    end

    def all_names(owner)
      owner.instance_methods + owner.private_instance_methods
    end

    # A method that hides one of Kernel's, if only for one call, could make a check hold.
    def watch_object
      builtins = self
      %i[method_added method_undefined].each do |event|
        Object.define_singleton_method(event) { |name| builtins.__send__(:look_at, self, name) }
      end
      %i[append_features prepend_features].each do |name|
        original = Module.instance_method(name)
        Module.define_method(name) do |owner|
          builtins.__send__(:look_at, owner, *instance_methods, *private_instance_methods)
          original.bind_call(self, owner)
          builtins.__send__(:close, self) if Object.equal?(owner)
        end
        Module.send(:private, name)
      end
    end

    def look_at(owner, *names)
      return unless @watching && Object.equal?(owner)

      hidden = names.find { |name| @names_of_object.key?(name) }
      @tamper.call("Object##{hidden}") if hidden
    end

    # What has become an ancestor of everything gets no more methods.
    def close(added)
      FREEZE.bind_call(added) if @watching
    end

    def replaced_method(table)
      EACH.bind_call(table) do |owner, methods|
        EACH.bind_call(methods) do |name, method|
          return "#{owner}##{name}" unless same_method?(owner, name, method)
        end
      end
      nil
    end

    def same_method?(owner, name, method)
      SAME_METHOD.bind_call(METHOD.bind_call(owner, name), method)
    rescue NameError
      false
    end

    # A method that a class has got and that hides one which it has inherited until then.
    def hidden
      EACH.bind_call(@own) do |owner, known|
        each_own_name(owner) do |name|
          next if KEY.bind_call(known, name)

          of_all = KEY.bind_call(@names_of_object, name)
          return "#{owner}##{name}" if of_all || defined_beside?(owner, owner, name)
        end
      end
      nil
    end

    # The same, by a module that the solution has put among the ancestors of a built-in class.
    def shadowed
      each_new_ancestor do |owner, added|
        each_own_name(added) do |name|
          return "#{owner}##{name}" if defined_beside?(owner, added, name)
        end
      end
      nil
    end

    def each_own_name(owner)
      EACH.bind_call(OWN_METHODS) do |own|
        EACH.bind_call(own.bind_call(owner, false)) do |name|
          yield name unless KEY.bind_call(@open, name)
        end
      end
    end

    # Whether a method of `owner` is defined by another of its ancestors than `part`.
    def defined_beside?(owner, part, name)
      EACH.bind_call(ANCESTORS.bind_call(owner)) do |ancestor|
        next if SAME.bind_call(ancestor, part)
        return true if DEFINES.bind_call(ancestor, name, false)
        return true if DEFINES_PRIVATE.bind_call(ancestor, name, false)
      end
      false
    end

    def each_new_ancestor
      EACH.bind_call(@ancestors) do |owner, known|
        EACH.bind_call(ANCESTORS.bind_call(owner)) do |ancestor|
          yield owner, ancestor unless KEY.bind_call(known, ancestor)
        end
      end
    end

    def replaced_constant
      EACH.bind_call(@constants) do |name, value|
        return "the constant #{name}" unless SAME.bind_call(CONSTANT.bind_call(Object, name), value)
      end
      nil
    end
  end
end
