-- luaunit for suites: its assertions and its runner, counted, and out of the candidate's reach.

local values = require("values")
local equal, shown = values.equal, values.shown

local type, next, pcall, error, rawget, rawequal = type, next, pcall, error, rawget, rawequal
local setmetatable, select, print = setmetatable, select, print
local unpack, sort, remove = table.unpack, table.sort, table.remove
local find, lower, match = string.find, string.lower, string.match
local gsub, sub = string.gsub, string.sub
local huge, abs = math.huge, math.abs

local EPSILON = 2 ^ -23
local KINDS = { "number", "string", "table", "boolean", "function", "thread", "userdata" }
-- What ends a test, and is no failure.
local DONE = {}

-- Names of luaunit's functions in all their spellings: assertIsNil, assert_nil, assertNil.
local function canonical(name)
  local plain = gsub(lower(name), "_", "")
  plain = gsub(plain, "^assertnotis(.)", "assertnot%1")
  return (gsub(plain, "^assertis(.)", "assert%1"))
end

local function same_items(actual, expected)
  if type(actual) ~= "table" or type(expected) ~= "table" then return equal(actual, expected) end
  local left = {}
  for _, item in next, expected do left[#left + 1] = item end
  for _, item in next, actual do
    local found
    for i = 1, #left do
      if equal(item, left[i]) then found = i break end
    end
    if found == nil then return false end
    remove(left, found)
  end
  return #left == 0
end

local function contains(list, wanted)
  if type(list) ~= "table" then return false end
  for _, item in next, list do
    if equal(item, wanted) then return true end
  end
  return false
end

local function text_contains(text, part, is_pattern)
  return type(text) == "string" and find(text, part, 1, not is_pattern) ~= nil
end

-- Checks with an opposite, by canonical name: each takes what the assertion is given.
local CHECKS = {
  equals = function(actual, expected) return equal(actual, expected) end,
  almostequals = function(actual, expected, margin)
    return equal(actual, expected, type(margin) == "number" and margin or EPSILON)
  end,
  strcontains = text_contains,
  stricontains = function(text, part)
    return type(text) == "string" and find(lower(text), lower(part), 1, true) ~= nil
  end,
  tablecontains = contains,
  is = function(actual, expected) return rawequal(actual, expected) end,
  ["nil"] = function(value) return value == nil end,
  ["true"] = function(value) return value == true end,
  ["false"] = function(value) return value == false end,
  nan = function(value) return type(value) == "number" and value ~= value end,
  inf = function(value) return type(value) == "number" and abs(value) == huge end,
  plusinf = function(value) return rawequal(value, huge) end,
  minusinf = function(value) return rawequal(value, -huge) end,
  pluszero = function(value) return rawequal(value, 0.0) and 1 / value == huge end,
  minuszero = function(value) return rawequal(value, 0.0) and 1 / value == -huge end,
}
for _, kind in next, KINDS do
  CHECKS[kind] = function(value) return type(value) == kind end
end
-- How many of a check's arguments an assertion shows.
local SIDES = {
  equals = 2, almostequals = 2, strcontains = 2, stricontains = 2, tablecontains = 2, is = 2,
}

-- How an assertion ends: as a count, or as an error that ends its test. Returns one that takes
-- what was compared as texts, and one that takes the values.
local function endings(counter)
  local function ensure(holds, left, right)
    if holds then return counter.hold() end
    counter.fail(left, right)
    error("LuaUnit test FAILURE: " .. (left or "") .. " " .. (right or ""), 0)
  end
  local function both(holds, a, b)
    if holds then return counter.hold() end
    ensure(false, shown(a), shown(b))
  end
  return ensure, both
end

-- Adds the assertions about values.
local function add_comparisons(made, counter, ensure, both)
  for name, check in next, CHECKS do
    local function decide(holds, ...)
      if holds then return counter.hold() end
      local second = (SIDES[name] or 1) > 1 and shown((select(2, ...))) or ""
      ensure(false, shown((...)), second)
    end
    made["assert" .. name] = function(...) decide(check(...), ...) end
    made["assertnot" .. name] = function(...) decide(not check(...), ...) end
  end
  function made.assertitemsequals(a, b) both(same_items(a, b), a, b) end
  function made.assertevaltotrue(value) both(value, value, true) end
  function made.assertevaltofalse(value) both(not value, value, false) end
  function made.assertstrmatches(text, pattern, from, to)
    local start, stop = find(text, pattern)
    both(start == (from or 1) and stop == (to or #text), text, pattern)
  end
end

-- Adds the assertions about errors.
local function add_errors(made, ensure, both)
  function made.asserterror(f, ...) both(not pcall(f, ...), "no error", "an error") end

  local function message_of(f, ...)
    local raised, message = pcall(f, ...)
    if raised then ensure(false, "no error", "an error") end
    return message
  end
  function made.asserterrormsgequals(expected, f, ...)
    local message = message_of(f, ...)
    both(equal(message, expected), message, expected)
  end
  function made.asserterrormsgcontentequals(expected, f, ...)
    local message = message_of(f, ...)
    local content = type(message) == "string" and match(message, "^.-:%d+: (.*)$") or message
    both(equal(content, expected), message, expected)
  end
  function made.asserterrormsgcontains(part, f, ...)
    local message = message_of(f, ...)
    both(text_contains(message, part), message, part)
  end
  function made.asserterrormsgmatches(pattern, f, ...)
    local message = message_of(f, ...)
    local whole = type(message) == "string" and match(message, "^" .. pattern .. "$") ~= nil
    both(whole, message, pattern)
  end
end

-- Adds what ends a test.
local function add_ends(made, counter, ensure)
  function made.fail(message) ensure(false, shown(message)) end
  function made.failif(condition, message) ensure(not condition, shown(message)) end
  function made.skip() error(DONE, 0) end
  function made.skipif(condition) if condition then error(DONE, 0) end end
  function made.runonlyif(condition) if not condition then error(DONE, 0) end end
  function made.success() counter.hold() error(DONE, 0) end
  function made.successif(condition) if condition then made.success() end end
end

local function assertions(counter)
  local made = {}
  local ensure, both = endings(counter)
  add_comparisons(made, counter, ensure, both)
  add_errors(made, ensure, both)
  add_ends(made, counter, ensure)
  return made
end

local function is_test(name)
  return type(name) == "string" and lower(sub(name, 1, 4)) == "test"
end

local function names_of_tests(container)
  local names = {}
  for name, value in next, container do
    local kind = type(value)
    if is_test(name) and (kind == "function" or kind == "table") then names[#names + 1] = name end
  end
  sort(names)
  return names
end

-- Where a suite's tests are found and run. `crash`: takes an error that is no failure.
local function runner(counter, crash)
  local suite  -- the environment that tests are looked for in
  local ran = 0

  local function call(f, ...)
    if type(f) ~= "function" then return end
    local failed = counter.failed
    local fine, problem = pcall(f, ...)
    if fine or rawequal(problem, DONE) then return end
    if counter.failed == failed and not counter.is_own(problem) then crash(problem) end
  end

  local function first_of(instance, ...)
    for _, name in next, { ... } do
      if instance[name] ~= nil then return instance[name] end
    end
  end

  local function run_method(instance, name)
    ran = ran + 1
    call(first_of(instance, "setUp", "Setup", "setup", "SetUp"), instance)
    call(instance[name], instance)
    call(first_of(instance, "tearDown", "TearDown", "teardown", "Teardown"), instance)
  end

  local function run_class(instance)
    call(first_of(instance, "setupClass", "setUpClass"), instance)
    for _, name in next, names_of_tests(instance) do run_method(instance, name) end
    call(first_of(instance, "teardownClass", "tearDownClass"), instance)
  end

  local function run_named(name)
    local class, method = match(name, "^(.-)%.(.+)$")
    local found = suite[class or name]
    if class ~= nil and found ~= nil then return run_method(found, method) end
    if type(found) == "table" then return run_class(found) end
    if type(found) ~= "function" then error("no such test: " .. name, 0) end
    ran = ran + 1
    call(found)
  end

  -- Runs what is named, or every test there is. Returns how many assertions failed.
  local function run(...)
    local names = {}
    for _, name in next, { ... } do
      if type(name) == "string" and sub(name, 1, 1) ~= "-" then names[#names + 1] = name end
    end
    if #names == 0 then names = names_of_tests(suite) end
    for _, name in next, names do run_named(name) end
    print("Ran " .. ran .. " tests, " .. counter.failed .. " failures")
    return counter.failed
  end

  return run, function(environment) suite = environment end
end

-- The module `luaunit`, and a function that says where its runner looks for tests.
local function new_unit(counter, crash)
  local made = assertions(counter)
  local run, look_in = runner(counter, crash)
  local unit = setmetatable({ EPS = EPSILON, VERSION = "3.4" }, {
    __index = function(_, name) return type(name) == "string" and made[canonical(name)] or nil end,
  })
  unit.run = run
  local function ignored() end
  unit.LuaUnit = { run = run, runSuite = run, setOutputType = ignored, setVerbosity = ignored }
  function unit.LuaUnit.new() return unit.LuaUnit end
  return unit, look_in
end

return { new_unit = new_unit }
