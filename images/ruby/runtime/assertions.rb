# frozen_string_literal: true

# What suites assert by, under the names of Test::Unit and of Minitest.
module Plum
  # An assertion that did not hold. No StandardError: a `rescue` of the candidate's is not meant.
  class Failed < Exception; end

  # A test that was left.
  class Skipped < Exception; end

  # Every method ends in `verify(holds, message, left, right)`, which the judge gives, as it gives
  # `same?(expected, actual)` and `near?(expected, actual, delta)`.
  module Assertions
    NOTHING = Object.new.freeze

    def assert(holds = NOTHING, message = nil)
      holds = yield if NOTHING.equal?(holds)
      verify(holds, message)
    end

    def assert_equal(expected, actual, message = nil)
      verify(same?(expected, actual), message, actual, expected)
    end

    def assert_not_equal(expected, actual, message = nil)
      verify(!same?(expected, actual), message, actual, expected)
    end

    def assert_same(expected, actual, message = nil)
      verify(actual.equal?(expected), message, actual, expected)
    end

    def assert_not_same(expected, actual, message = nil)
      verify(!actual.equal?(expected), message, actual, expected)
    end

    def assert_true(actual, message = nil) = verify(true.equal?(actual), message, actual, true)
    def assert_false(actual, message = nil) = verify(false.equal?(actual), message, actual, false)
    def assert_nil(actual, message = nil) = verify(nil.equal?(actual), message, actual, nil)
    def assert_not_nil(actual, message = nil) = verify(!nil.equal?(actual), message, actual)
    def assert_empty(actual, message = nil) = verify(actual.empty?, message, actual)
    def assert_not_empty(actual, message = nil) = verify(!actual.empty?, message, actual)

    def assert_not(actual, message = nil)
      verify(!actual, message, actual, false)
    end

    def assert_in_delta(expected, actual, delta = 0.001, message = nil)
      verify(near?(expected, actual, delta), message, actual, expected)
    end

    def assert_not_in_delta(expected, actual, delta = 0.001, message = nil)
      verify(!near?(expected, actual, delta), message, actual, expected)
    end

    def assert_in_epsilon(expected, actual, epsilon = 0.001, message = nil)
      delta = [expected.abs, actual.abs].min * epsilon
      verify(near?(expected, actual, delta), message, actual, expected)
    end

    def assert_match(pattern, actual, message = nil)
      pattern = Regexp.new(Regexp.escape(pattern)) if pattern.is_a?(String)
      verify(pattern =~ actual, message, actual, pattern)
    end

    def assert_no_match(pattern, actual, message = nil)
      verify(pattern !~ actual, message, actual, pattern)
    end

    def assert_include(collection, actual, message = nil)
      same?(actual, actual)
      verify(collection.include?(actual), message, collection, actual)
    end

    def assert_not_include(collection, actual, message = nil)
      verify(!collection.include?(actual), message, collection, actual)
    end

    def assert_instance_of(expected, actual, message = nil)
      verify(expected.equal?(class_of(actual)), message, actual, expected)
    end

    def assert_kind_of(expected, actual, message = nil)
      verify(class_of(actual) <= expected, message, actual, expected)
    end

    def assert_respond_to(actual, name, message = nil)
      verify(actual.respond_to?(name), message, actual, name)
    end

    def assert_operator(left, operator, right, message = nil)
      verify(left.__send__(operator, right), message, left, right)
    end

    def assert_predicate(actual, name, message = nil)
      verify(actual.__send__(name), message, actual, name)
    end

    def assert_not_predicate(actual, name, message = nil)
      verify(!actual.__send__(name), message, actual, name)
    end

    def assert_raise(*expected)
      message = expected.pop if expected.last.is_a?(String)
      classes = expected.empty? ? [StandardError] : expected.grep(Module)
      begin
        yield
      rescue *classes => e
        # A class of the candidate's may say that it is any error's.
        verify(classes.any? { |one| kind_of(e, one) }, message, e, expected)
        return e
      rescue Failed, Skipped
        raise
      rescue Exception => e
        verify(false, message, e, expected)
      end
      verify(false, message, nil, expected)
    end

    def assert_raise_message(expected, message = nil)
      yield
    rescue StandardError => e
      verify(expected === e.message, message, e.message, expected)
    else
      verify(false, message, nil, expected)
    end

    def assert_nothing_raised(*)
      result = yield
      verify(true, nil)
      result
    rescue StandardError => e
      verify(false, nil, e)
    end

    def assert_throw(tag, message = nil)
      ended = false
      result = catch(tag) do
        yield
        ended = true
      end
      verify(!ended, message, tag)
      result
    end

    def flunk(message = 'flunked') = verify(false, message)
    def pass(_message = nil) = verify(true, nil)

    def skip(*) = raise(Skipped)

    alias assert_raises assert_raise
    alias assert_raise_kind_of assert_raise
    alias assert_includes assert_include
    alias assert_throws assert_throw
    alias assert_block assert
    alias assert_is_a assert_kind_of
    alias omit skip
    alias pend skip
    alias refute assert_not
    alias refute_equal assert_not_equal
    alias refute_same assert_not_same
    alias refute_nil assert_not_nil
    alias refute_empty assert_not_empty
    alias refute_in_delta assert_not_in_delta
    alias refute_match assert_no_match
    alias assert_not_match assert_no_match
    alias refute_includes assert_not_include
    alias assert_not_includes assert_not_include
    alias refute_predicate assert_not_predicate

    def refute_instance_of(expected, actual, message = nil)
      verify(!expected.equal?(class_of(actual)), message, actual, expected)
    end

    def refute_kind_of(expected, actual, message = nil)
      verify(!(class_of(actual) <= expected), message, actual, expected)
    end

    def refute_respond_to(actual, name, message = nil)
      verify(!actual.respond_to?(name), message, actual, name)
    end

    def refute_operator(left, operator, right, message = nil)
      verify(!left.__send__(operator, right), message, left, right)
    end

    private

    def kind_of(object, type) = Kernel.instance_method(:kind_of?).bind_call(object, type)
    def class_of(object) = Kernel.instance_method(:class).bind_call(object)
  end

  # A class of tests.
  class TestCase
    include Assertions

    def self.test(name, &block)
      define_method("test: #{name}", &block)
    end

    def self.startup; end
    def self.shutdown; end

    attr_reader :name

    def initialize(name = nil) = @name = name
    def setup; end
    def teardown; end

    alias method_name name
  end
end

module Test
  module Unit
    TestCase = Plum::TestCase
    Assertions = Plum::Assertions
    AssertionFailedError = Plum::Failed
  end
end

module Minitest
  Test = Plum::TestCase
  Assertions = Plum::Assertions
  Assertion = Plum::Failed
  Skip = Plum::Skipped

  module Unit
    TestCase = Plum::TestCase
  end

  def self.autorun; end
end
MiniTest = Minitest
