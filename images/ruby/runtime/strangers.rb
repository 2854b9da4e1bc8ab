# frozen_string_literal: true

# Looks for objects that say that they are equal to what they have never seen.
module Plum
  class Strangers
    SUBCLASSES = Class.instance_method(:subclasses)
    ALLOCATE = Class.instance_method(:allocate)
    EACH_OBJECT = ObjectSpace.method(:each_object)
    SINGLE = Module.instance_method(:singleton_class?)
    BELOW = Module.instance_method(:<=)
    METHODS = Module.instance_method(:instance_methods)
    ANCESTORS = Module.instance_method(:ancestors)
    ANSWERS = %i[== != eql? equal? <=> method_missing].freeze
    LIVING = 50
    FAMILIAR = [
      [*0..9], [*10..99], [*100..999], [*-9..-1], [true, false], [0.0, 0.5, 1.0, 1.5],
      ['', 'a', 'b', 'ab'], %i[a b c d], [[], [0], [1], [1, 2]]
    ].freeze
    # Called as a suite calls: an object may look at who asks.
    ASK = eval(<<~RUBY, TOPLEVEL_BINDING.dup, 'suite.rb', 1)
      lambda do |object, other|
        object == other || !(object != other) || object.eql?(other) || object.equal?(other)
      rescue Exception
        false
      end
    RUBY

    # What there is by now is not looked at.
    def initialize
      @known = {}.compare_by_identity
      EACH_OBJECT.call(Module) { |found| @known[found] = true }
    end

    # Whether there is a class whose objects are equal to strangers: a fresh one, or one that lives.
    # Those that are keys of `own` are left out.
    def liars?(own)
      found = []
      each_class { |one| found << one if !@known[one] && !own[one] && answers?(one) }
      found.any? { |candidate| any_liar?(candidate) } || single_liars?
    end

    # Whether this object is equal to strangers: to what it cannot know, or to more than one of
    # what it may know.
    def liar?(object)
      return true if unseen.any? { |stranger| ASK.call(object, stranger) }

      FAMILIAR.any? { |some| some.sample(4).count { |stranger| ASK.call(object, stranger) } > 1 }
    end

    # Whether objects of this class answer by a method that this judge knows.
    def known?(candidate)
      @known.key?(candidate)
    end

    private

    def unseen
      number = Random.rand((1 << 40)..(1 << 50))
      text = number.to_s(36)
      [Object.new, number, number + 0.5, text, text.to_sym, [number], { number => 1 }]
    end

    def each_class(from = BasicObject, &block)
      SUBCLASSES.bind_call(from).each do |found|
        block.call(found)
        each_class(found, &block)
      end
    end

    # Whether a class, or what it is made of, brings methods of its own for it.
    def answers?(candidate)
      ANCESTORS.bind_call(candidate).any? do |part|
        !@known[part] && !(METHODS.bind_call(part, false) & ANSWERS).empty?
      end
    end

    def any_liar?(candidate)
      objects = []
      begin
        objects << ALLOCATE.bind_call(candidate)
      rescue TypeError, NoMethodError
        nil # of a kind that is not made this way
      end
      EACH_OBJECT.call(candidate) { |object| objects << object if objects.size < LIVING }
      objects.any? { |object| liar?(object) }
    end

    # Objects with methods of their own.
    def single_liars?
      EACH_OBJECT.call(Class) do |candidate|
        next if !SINGLE.bind_call(candidate) || BELOW.bind_call(candidate, Module)

        EACH_OBJECT.call(candidate) { |object| return true if liar?(object) }
      end
      false
    end
  end
end
