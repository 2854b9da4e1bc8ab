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
require_relative 'builtins'
require_relative 'strangers'
require_relative 'assertions'
require_relative 'doors'

module Plum
  # Judges what lies in the working folder.
  class Judge
    WAYS_TO_FAIL = %i[raise fail abort exit throw].freeze
    REPORTED_FAILURES = 20
    # What is called so in a suite is no variable of the solution's.
    WORDS = (Kernel.instance_methods + Kernel.private_instance_methods + Assertions.instance_methods).freeze
    LIE = 'an object of the solution is equal to strangers'
    LOCATIONS = Exception.instance_method(:backtrace_locations)

    def initialize
      token = IO.for_fd(4)
      @token = token.read
      token.close
      @report = Report.new
      @solution = File.read('solution.rb', encoding: 'UTF-8')
      @suite = File.read('suite.rb', encoding: 'UTF-8')
      # The suite is not for the candidate's eyes.
      File.unlink('suite.rb')
      @variables = TOPLEVEL_BINDING
      @main = @variables.receiver
      @phase = 'COMPILE'
      @passed = @failed = 0
      @skipped = false
      @cases = []
    end

    def run
      compile
      prepare
      load_solution
      @phase = 'TEST'
      @report.event(event: 'begin')
      guarded { run_suite }
      guarded { run_cases }
      finish
    end

    private

    def compile
      broken = syntax_error(@solution, 'solution.rb')
      stop('COMPILE_ERROR', broken) if broken
      broken = syntax_error(@suite, 'suite.rb')
      stop('TEST_ERROR', "the suite does not compile: #{broken}") if broken
      @can_fail = calls_any?(RubyVM::AbstractSyntaxTree.parse(@suite), WAYS_TO_FAIL)
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
      [@solution, @suite].each { |text| Doors.load_libraries(text) }
      @strangers = Strangers.new
      give_assertions
      Doors.close
      [Plum, Test, Minitest].each { |own| freeze_below(own) }
      [UnboundMethod, Method, Binding, ObjectSpace, TracePoint].each(&:freeze)
      @builtins = Builtins.new { |name| stop('TAMPERED', "the solution replaced the built-in #{name}") }
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
      Assertions.define_method(:same?) { |expected, actual| judge.__send__(:same?, expected, actual) }
      TestCase.define_singleton_method(:inherited) do |found|
        super(found)
        judge.__send__(:add_case, found)
      end
    end

    def load_solution
      @phase = 'LOAD'
      begin
        eval(@solution, @variables, 'solution.rb', 1)
      rescue Exception => e # rubocop:disable Lint/RescueException
        crash(e)
      end
      replaced = @builtins.replaced
      stop('TAMPERED', "the solution replaced the built-in #{replaced}") if replaced
      stop('TAMPERED', LIE) if @strangers.liars?
      @builtins.hold
    end

    # In a module of its own: what it defines is out of the candidate's reach. It has the solution's
    # constants and copies of its top-level variables.
    def run_suite
      $PROGRAM_NAME = 'suite.rb'
      @stage = Module.new
      [@stage, Assertions].each { |part| @stage.extend(part) }
      @stage.define_singleton_method(:inspect) { 'main' }
      Object.constants.each { |name| @stage.const_set(name, Object.const_get(name)) unless Object.autoload?(name) }
      @given = @stage.constants
      @main.instance_variables.each { |name| @stage.instance_variable_set(name, @main.instance_variable_get(name)) }
      scope = Plum.empty_binding
      (@variables.local_variables - WORDS).each do |name|
        scope.local_variable_set(name, @variables.local_variable_get(name))
      end
      scope.eval("proc { |stage__, text__| stage__.module_eval(text__, 'suite.rb', 1) }").call(@stage, @suite)
    end

    # Constants that the suite itself has made.
    def own_constants
      (@stage.constants - @given).to_h { |name| [@stage.const_get(name), true] }.compare_by_identity
    end

    def add_case(found)
      @cases << found if @phase == 'TEST'
    end

    def run_cases
      # From here on nobody changes a test that is still to run.
      @cases.each { |found| found.include(@stage) }
      [*@cases, @stage].each(&:freeze)
      @cases.each do |found|
        names = tests_of(found)
        next if names.empty?

        found.startup
        names.each { |name| run_case(found, name) }
        found.shutdown
      end
    end

    def tests_of(found)
      everybodys = Object.ancestors
      names = found.public_instance_methods.grep(/\Atest/).sort
      names.reject { |name| everybodys.include?(found.instance_method(name).owner) }
    end

    def run_case(found, name)
      object = found.new(name.to_s)
      guarded { object.setup }
      guarded { object.__send__(name) }
      guarded { object.teardown }
    end

    # What a failed assertion raises ends no more than its test.
    def guarded
      failed = @failed
      yield
    rescue Skipped
      @skipped = true
    rescue Exception => e # rubocop:disable Lint/RescueException
      return if @failed > failed

      own?(e) ? failure(line_of(e)) : crash(e)
    end

    # Whether the suite itself raised it, to say that something is wrong.
    def own?(error)
      kind = Kernel.instance_method(:class).bind_call(error)
      return false unless RuntimeError.equal?(kind) || own_constants[kind]

      LOCATIONS.bind_call(error)&.first&.path == 'suite.rb'
    end

    def verify(holds, message, sides)
      if holds
        @passed += 1
        return true
      end
      # Counted before anything of the candidate's can be asked.
      failure(line_of_suite, *sides)
      ::Kernel.raise Failed, message.is_a?(String) ? message : 'an assertion is false'
    end

    def same?(expected, actual)
      [expected, actual].each do |object|
        known = @strangers.known?(Kernel.instance_method(:class).bind_call(object))
        stop('TAMPERED', LIE) if !known && @strangers.liar?(object)
      end
      expected == actual
    end

    def line_of(error)
      LOCATIONS.bind_call(error)&.find { |place| place.path == 'suite.rb' }&.lineno || 0
    end

    def line_of_suite
      caller_locations.find { |place| place.path == 'suite.rb' }&.lineno || 0
    end

    def failure(line, *sides)
      @failed += 1
      return if @failed > REPORTED_FAILURES

      expression = line.positive? ? @suite.lines[line - 1].to_s.strip[0, 500] : ''
      left, right = sides.map { |side| shown(side) }
      @report.event(event: 'failed', line: line, expression: expression, left: left || '', right: right || '')
    end

    def shown(value)
      value.inspect.to_s[0, 500]
    rescue Exception # rubocop:disable Lint/RescueException
      ''
    end

    def described(error)
      place = LOCATIONS.bind_call(error)&.find { |l| %w[solution.rb suite.rb].include?(l.path) }
      "#{error.class}: #{error.message}#{" (#{place.path}:#{place.lineno})" if place}"
    rescue Exception # rubocop:disable Lint/RescueException
      'an error that cannot be shown'
    end

    # An error ends everything at once, as it does under Ruby.
    def crash(error)
      message = described(error)
      warn(message)
      stop('RUNTIME_ERROR', message)
    end

    def stop(verdict, message)
      @report.event(event: 'stopped', verdict: verdict, phase: @phase, message: message)
      leave(1)
    end

    def finish
      if @failed.zero?
        stop('TAMPERED', LIE) if @strangers.liars?(own_constants)
        stop('RUNTIME_ERROR', 'a test was skipped') if @skipped
        @passed = 1 if @passed.zero? && @can_fail
      end
      @report.event(event: 'end', token: @token, passed: @passed, failed: @failed)
      leave(@failed.zero? ? 0 : 1)
    end

    def leave(status)
      $stdout.flush
      Process.exit!(status)
    end
  end

  def self.empty_binding = binding
end

Plum::Judge.new.run
