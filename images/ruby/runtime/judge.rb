# frozen_string_literal: true

# Loads the solution, runs the suite, and reports on descriptor 3.
#
# Both run in this interpreter: a suite calls the solution's methods, and compares what they
# return. The token that a pass needs is in an object that no constant leads to. What shows other
# code's values is closed before the solution is loaded (`doors`); after that nothing built-in may
# have been replaced, nor can it be any more (`builtins`), and the judge's own modules are frozen
# from the start. What is left to lie with, objects that say that they are equal to anything, is
# looked for (`strangers`).

require_relative 'report'
require_relative 'counter'
require_relative 'builtins'
require_relative 'strangers'
require_relative 'suite'
require_relative 'doors'

module Plum
  # Judges what lies in the working folder.
  class Judge
    WAYS_TO_FAIL = %i[raise fail abort exit throw].freeze
    LIE = 'an object of the solution is equal to strangers'
    LOCATIONS = Exception.instance_method(:backtrace_locations)
    CLASS = Kernel.instance_method(:class)

    def initialize
      token = IO.for_fd(4)
      @token = token.read
      token.close
      @report = Report.new
      @solution = File.read('solution.rb', encoding: 'UTF-8')
      @text = File.read('suite.rb', encoding: 'UTF-8')
      # The suite is not for the candidate's eyes.
      File.unlink('suite.rb')
      @variables = TOPLEVEL_BINDING
      @suite = Suite.new(@text, @variables)
      @counter = Counter.new(@suite, @report)
      @phase = 'COMPILE'
      @skipped = false
    end

    def run
      compile
      prepare
      load_solution
      @phase = 'TEST'
      @report.event(event: 'begin')
      guarded { @suite.load }
      @suite.run_cases { |&part| guarded(&part) }
      finish
    end

    private

    def compile
      broken = syntax_error(@solution, 'solution.rb')
      stop('COMPILE_ERROR', broken) if broken
      broken = syntax_error(@text, 'suite.rb')
      stop('TEST_ERROR', "the suite does not compile: #{broken}") if broken
      @can_fail = calls_any?(RubyVM::AbstractSyntaxTree.parse(@text), WAYS_TO_FAIL)
    end

    def syntax_error(text, name)
      RubyVM::InstructionSequence.compile(text, name)
      nil
    rescue SyntaxError => e
      e.message
    end

    def calls_any?(node, names)
      return false unless node.is_a?(RubyVM::AbstractSyntaxTree::Node)
      return true if %i[FCALL VCALL].include?(node.type) && names.include?(node.children[0])

      node.children.any? { |child| calls_any?(child, names) }
    end

    def prepare
      before = ObjectSpace.each_object(Module).to_a
      [@solution, @text].each { |text| Doors.load_libraries(text) }
      libraries = ObjectSpace.each_object(Module).to_a - before
      @strangers = Strangers.new
      give_assertions
      Doors.close
      [Plum, Test, Minitest].each { |own| freeze_below(own) }
      [UnboundMethod, Method, Binding, ObjectSpace, TracePoint].each(&:freeze)
      @builtins = Builtins.new(libraries) { |name| replaced(name) }
    end

    def freeze_below(own)
      own.freeze
      own.constants.map { |name| own.const_get(name) }.each do |value|
        freeze_below(value) if value.is_a?(Module) && !value.frozen?
      end
    end

    # What `Assertions` lacks: the parts that only this object may have.
    def give_assertions
      judge = self
      Assertions.define_method(:verify) do |holds, message = nil, *sides|
        judge.__send__(:verify, holds, message, sides)
      end
      Assertions.define_method(:same?) { |*sides| judge.__send__(:same?, *sides) }
      Assertions.define_method(:near?) { |*sides| judge.__send__(:near?, *sides) }
      suite = @suite
      TestCase.define_singleton_method(:inherited) do |found|
        super(found)
        suite.add_case(found)
      end
    end

    def load_solution
      @phase = 'LOAD'
      begin
        eval(@solution, @variables, 'solution.rb', 1)
      rescue Exception => e
        crash(e)
      end
      look_at_classes({})
      @builtins.hold
    end

    # Whether what is built in is as it was, and objects are what they are.
    def look_at_classes(own)
      name = @builtins.replaced
      replaced(name) if name
      stop('TAMPERED', LIE) if @strangers.liars?(own)
    end

    def replaced(name)
      stop('TAMPERED', "the solution replaced the built-in #{name}")
    end

    # What a failed assertion raises ends no more than its test.
    def guarded
      failed = @counter.failed
      yield
    rescue Skipped
      @skipped = true
    rescue Exception => e
      return if @counter.failed > failed

      own?(e) ? @counter.fail_by(e) : crash(e)
    end

    # Whether the suite itself raised it, or exits, to say that something is wrong.
    def own?(error)
      kind = CLASS.bind_call(error)
      exits = SystemExit.equal?(kind) && !error.success?
      return false unless exits || RuntimeError.equal?(kind) || @suite.own_constants[kind]

      LOCATIONS.bind_call(error)&.first&.path == 'suite.rb'
    end

    def verify(holds, message, sides)
      if holds
        @counter.hold if @phase == 'TEST'
        return true
      end
      @counter.fail(*sides) if @phase == 'TEST'
      raise Failed, message.is_a?(String) ? message : 'an assertion is false'
    end

    def same?(expected, actual)
      [expected, actual].each do |object|
        known = @strangers.known?(CLASS.bind_call(object))
        stop('TAMPERED', LIE) if !known && @strangers.liar?(object)
      end
      expected == actual
    end

    # Whether two numbers are that near to each other. One of the candidate's own is asked about a
    # far one, too.
    def near?(expected, actual, delta)
      far = expected + delta + Random.rand((1 << 20)..(1 << 30))
      known = @strangers.known?(CLASS.bind_call(actual))
      stop('TAMPERED', LIE) if !known && (far - actual).abs <= delta
      (expected - actual).abs <= delta
    end

    def described(error)
      place = LOCATIONS.bind_call(error)&.find { |one| %w[solution.rb suite.rb].include?(one.path) }
      "#{error.class}: #{error.message}#{" (#{place.path}:#{place.lineno})" if place}"
    rescue Exception
      'an error that cannot be shown'
    end

    # An error ends everything at once, as it does under Ruby.
    def crash(error)
      message = described(error)
      STDERR.puts(message)
      stop('RUNTIME_ERROR', message)
    end

    def stop(verdict, message)
      @report.event(event: 'stopped', verdict: verdict, phase: @phase, message: message)
      leave(1)
    end

    def finish
      passed = @counter.passed
      failed = @counter.failed
      if failed.zero?
        look_at_classes(@suite.own_constants)
        stop('RUNTIME_ERROR', 'a test was skipped') if @skipped
        # A suite that could only raise or exit.
        passed = 1 if passed.zero? && @can_fail
      end
      @report.event(event: 'end', token: @token, passed: passed, failed: failed)
      leave(failed.zero? ? 0 : 1)
    end

    def leave(status)
      begin
        STDOUT.flush
      rescue SystemCallError, IOError
        nil # the candidate has closed it
      end
      Process.exit!(status)
    end
  end
end

Plum::Judge.new.run
