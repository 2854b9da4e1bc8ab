# frozen_string_literal: true

require_relative 'assertions'

# Runs a suite's text, and then the classes of tests that it has defined.
module Plum
  class Suite
    # What is called so in a suite is no variable of the solution's.
    WORDS = [
      *Kernel.instance_methods, *Kernel.private_instance_methods, *Assertions.instance_methods
    ].freeze

    # text: the suite. variables: the binding that the solution was run in.
    def initialize(text, variables)
      @text = text
      @variables = variables
      @main = variables.receiver
      @cases = []
    end

    # Takes a class of tests, as soon as it is defined.
    def add_case(found)
      @cases << found if @stage
    end

    # In a module of its own: what it defines is out of the candidate's reach. It has the solution's
    # constants and copies of its top-level variables.
    def load
      $PROGRAM_NAME = 'suite.rb'
      @stage = Module.new
      [@stage, Assertions].each { |part| @stage.extend(part) }
      @stage.define_singleton_method(:inspect) { 'main' }
      share_names
      # The parameters are visible to the suite; no solution has variables of these names.
      within = scope.eval("proc { |stage__, text__| stage__.module_eval(text__, 'suite.rb', 1) }")
      within.call(@stage, @text)
    end

    # Runs each test, `guard` around each part of it.
    def run_cases(&guard)
      # From here on nobody changes a test that is still to run.
      @cases.each { |found| found.include(@stage) }
      [*@cases, @stage].each(&:freeze)
      @cases.each do |found|
        names = tests_of(found)
        next if names.empty?

        guard.call { found.startup }
        names.each { |name| run_case(found.new(name.to_s), name, &guard) }
        guard.call { found.shutdown }
      end
    end

    # Constants that the suite itself has made, as keys.
    def own_constants
      (@stage.constants - @given).to_h { |name| [@stage.const_get(name), true] }.compare_by_identity
    end

    # The text of a line, from 1; empty where there is none.
    def line(number)
      number.positive? ? @text.lines[number - 1].to_s.strip : ''
    end

    private

    def share_names
      Object.constants.each do |name|
        @stage.const_set(name, Object.const_get(name)) unless Object.autoload?(name)
      end
      @given = @stage.constants
      @main.instance_variables.each do |name|
        @stage.instance_variable_set(name, @main.instance_variable_get(name))
      end
    end

    def scope
      made = Plum.empty_binding
      (@variables.local_variables - WORDS).each do |name|
        made.local_variable_set(name, @variables.local_variable_get(name))
      end
      made
    end

    def tests_of(found)
      everybodys = Object.ancestors
      names = found.public_instance_methods.grep(/\Atest/).sort
      names.reject { |name| everybodys.include?(found.instance_method(name).owner) }
    end

    def run_case(object, name, &guard)
      guard.call { object.setup }
      guard.call { object.__send__(name) }
      guard.call { object.teardown }
    end
  end

  def self.empty_binding = binding
end
