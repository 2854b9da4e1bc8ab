-- Counts what a suite asserts: by `assert`, by `error`, and by luaunit's functions.

local error, type, select, rawequal = error, type, select, rawequal
local getinfo = debug.getinfo
local gmatch, gsub, find, sub = string.gmatch, string.gsub, string.find, string.sub

local REPORTED_FAILURES = 20
local WAYS_TO_FAIL = { "%f[%w_]error%s*[%(%[\"']", "%f[%w_]os%.exit%s*%(" }

local function lines_of(text)
  local lines = {}
  for line in gmatch(text .. "\n", "(.-)\r?\n") do lines[#lines + 1] = line end
  return lines
end

-- suite: its text. report: takes an event.
local function new_counter(suite, report)
  local counter = { passed = 0, failed = 0 }
  local lines = lines_of(suite)
  local raised  -- by the suite's own `error`, which may still be caught

  local function place()
    for level = 3, 200 do
      local info = getinfo(level, "Sl")
      if info == nil then break end
      if info.source == "@suite.lua" then return info.currentline end
    end
    return 0
  end

  local function failure(line, left, right)
    counter.failed = counter.failed + 1
    if counter.failed > REPORTED_FAILURES then return end
    local expression = gsub(lines[line] or "", "^%s+", "")
    report({
      event = "failed", line = line, expression = sub(expression, 1, 500),
      left = left or "", right = right or "",
    })
  end

  function counter.hold()
    counter.passed = counter.passed + 1
  end

  function counter.fail(left, right)
    failure(place(), left, right)
  end

  -- `assert` as Lua has it, and counted.
  function counter.assert(...)
    if select("#", ...) == 0 then error("bad argument #1 to 'assert' (value expected)", 2) end
    local value, message = ...
    if value then
      counter.hold()
      return ...
    end
    counter.fail()
    if select("#", ...) == 1 then message = "assertion failed!" end
    error(message, 0)
  end

  -- `error` as Lua has it; what it raises and nobody catches is a failure.
  function counter.error(message, level)
    level = level or 1
    if type(message) == "string" and level > 0 then
      local info = getinfo(level + 1, "Sl")
      if info ~= nil and info.currentline > 0 then
        message = info.short_src .. ":" .. info.currentline .. ": " .. message
      end
    end
    raised = { message = message, line = place() }
    error(message, 0)
  end

  -- Whether an error that ended the suite is one of its own, and then counts it.
  function counter.is_own(problem)
    if raised == nil or not rawequal(raised.message, problem) then return false end
    failure(raised.line)
    return true
  end

  -- How many assertions held. A suite that could only raise or exit counts as one.
  function counter.held()
    if counter.passed > 0 then return counter.passed end
    for _, way in next, WAYS_TO_FAIL do
      if find(suite, way) then return 1 end
    end
    return 0
  end

  return counter
end

return { new_counter = new_counter }
