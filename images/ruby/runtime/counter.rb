# frozen_string_literal: true

# Counts what a suite asserts, and says what it was that did not hold.
module Plum
  class Counter
    REPORTED_FAILURES = 20
    LOCATIONS = Exception.instance_method(:backtrace_locations)

    attr_reader :passed, :failed

    def initialize(suite, report)
      @suite = suite
      @report = report
      @passed = @failed = 0
    end

    def hold = @passed += 1

    # A failure of the assertion that is being evaluated. sides: what was compared.
    def fail(*sides)
      failure(caller_locations, sides)
    end

    # A failure that an error says.
    def fail_by(error)
      failure(LOCATIONS.bind_call(error) || [], [])
    end

    private

    def failure(places, sides)
      # Counted before anything of the candidate's can be asked.
      @failed += 1
      return if @failed > REPORTED_FAILURES

      line = places.find { |place| place.path == 'suite.rb' }&.lineno || 0
      left, right = sides.map { |side| shown(side) }
      expression = @suite.line(line)[0, 500]
      @report.event(
        event: 'failed', line: line, expression: expression, left: left || '', right: right || ''
      )
    end

    def shown(value)
      value.inspect.to_s[0, 500]
    rescue Exception
      ''
    end
  end
end
