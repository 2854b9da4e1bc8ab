# frozen_string_literal: true

# Closes what shows a program the values of other code, or copies the program.
module Plum
  module Doors
    # Anything else in these: not for programs that are judged.
    CLOSED = {
      ObjectSpace.singleton_class => %i[each_object _id2ref],
      ObjectSpace => %i[each_object _id2ref],
      TracePoint.singleton_class => %i[new trace stat allow_reentry],
      RubyVM::AbstractSyntaxTree.singleton_class => %i[of parse parse_file],
      # Nothing checks that precompiled code is what a compiler would make.
      RubyVM::InstructionSequence.singleton_class => %i[load_from_binary of disasm disassemble],
      # Classes of the suite.
      Class => %i[subclasses],
      # The variables that a block of the suite sees.
      Proc => %i[binding],
      Thread => %i[set_trace_func add_trace_func],
      # Which answer is right could be tried out in a copy.
      Kernel => %i[fork syscall set_trace_func],
      Kernel.singleton_class => %i[fork syscall set_trace_func],
      Process.singleton_class => %i[fork _fork daemon],
      # Both take an address in memory for an argument.
      IO => %i[ioctl fcntl],
    }.freeze
    LIBRARIES = /\A(fiddle|objspace|continuation|coverage|pty|debug|irb|tracer|-test-)(\W|\z)/
    # Given by this judge itself.
    OWN = %r{\A(test/unit|test-unit|minitest)(/|\z)|\A(.*/)?solution(\.rb)?\z}
    REQUIRED = /^\s*require\s*\(?\s*['"]([\w\/]+)['"]/
    # These start a copy of the program for such a name.
    COPY = /\A\|?-\z/
    OPENERS = %i[popen read binread readlines foreach write binwrite].freeze

    REQUIRE = Kernel.instance_method(:require)
    RESOLVE = $LOAD_PATH.method(:resolve_feature_path)
    STARTS = String.instance_method(:start_with?)
    MATCHES = Regexp.instance_method(:match?)
    TRUSTED = $LOAD_PATH.map { |folder| "#{folder}/" }.freeze

    module_function

    def close
      CLOSED.each do |owner, names|
        names.each do |name|
          next unless owner.method_defined?(name) || owner.private_method_defined?(name)

          owner.send(:undef_method, name)
        end
      end
      close_copies
      replace_require
    end

    # Loads the libraries that a text asks for by name. What they add to built-in classes, they add
    # now: before these are looked at, and before they are frozen.
    def load_libraries(text)
      text.scan(REQUIRED).flatten.push(*('pp' if text.match?(/\bpp\b/))).each do |name|
        library(name)
      rescue LoadError
        nil
      end
    end

    # As `require`.
    def library(name)
      path = plain(name)
      return false if MATCHES.bind_call(OWN, path)
      if MATCHES.bind_call(LIBRARIES, path)
        raise LoadError, "library '#{path}' is not available here"
      end

      kind, found = RESOLVE.call(path)
      add_bundled_libraries && (kind, found = RESOLVE.call(path)) if found.nil?
      if kind == :so && TRUSTED.none? { |folder| STARTS.bind_call(found, folder) }
        raise LoadError, "'#{path}' is machine code of the program's own"
      end
      REQUIRE.bind_call(self, found || path)
    end

    # A path as a plain string, so that it is the same when it is used.
    def plain(path)
      String.new(File.path(path))
    end

    def add_bundled_libraries
      own = TRUSTED.find { |folder| folder.match?(%r{/ruby/[\d.]+/\z}) } || '/usr/lib/ruby/0/'
      version = own[%r{/([\d.]+)/\z}, 1]
      gems = "#{File.dirname(own)}/gems/#{version}/gems"
      folders = Dir.glob("#{gems}/{matrix,prime,rexml}-*/lib")
      !(folders - $LOAD_PATH).empty? && $LOAD_PATH.concat(folders)
    end

    def replace_require
      [Kernel, Kernel.singleton_class].each do |owner|
        owner.define_method(:require) { |name| Doors.library(name) }
        owner.define_method(:require_relative) do |name|
          caller_path = caller_locations(1, 1).first.absolute_path
          folder = caller_path ? File.dirname(caller_path) : Dir.pwd
          Doors.library(File.expand_path(Doors.plain(name), folder))
        end
      end
      Kernel.send(:private, :require, :require_relative)
    end

    def close_copies
      refuse = lambda do |name|
        named = name.is_a?(String) || name.respond_to?(:to_path) || name.respond_to?(:to_str)
        path = named ? Doors.plain(name) : name
        if named && MATCHES.bind_call(COPY, path)
          raise NotImplementedError, 'no copy of the program can be made here'
        end
        path
      end
      places = OPENERS.map { |name| [IO.singleton_class, name] }
      places += [[Kernel, :open], [Kernel.singleton_class, :open]]
      places.each do |owner, name|
        original = owner.instance_method(name)
        owner.define_method(name) do |first, *rest, **options, &block|
          rest[0] = refuse.call(rest[0]) if first.is_a?(Hash)
          original.bind_call(self, refuse.call(first), *rest, **options, &block)
        end
      end
      Kernel.send(:private, :open)
    end
  end
end
