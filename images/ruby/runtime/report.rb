# frozen_string_literal: true

module Plum
  # The report on descriptor 3.
  class Report
    WRITE = IO.instance_method(:syswrite)
    MAX_TEXT = 2000

    def initialize
      @file = IO.for_fd(3, 'w')
    end

    # Writes one event. A solution may have a `format` of its own. Values are texts and integers.
    def event(**event)
      pairs = event.map { |key, value| %("#{key}":#{value.is_a?(String) ? quoted(value) : value}) }
      WRITE.bind_call(@file, "{#{pairs.join(',')}}\n")
    end

    private

    def quoted(text)
      text = text.encode('UTF-8', invalid: :replace, undef: :replace).scrub[0, MAX_TEXT]
      escaped = text.gsub(/["\\]|[^\x20-\x7e]/) do |c|
        c.encode('UTF-16BE').unpack('n*').map { |unit| Kernel.format('\u%04x', unit) }.join
      end
      %("#{escaped}")
    end
  end
end
