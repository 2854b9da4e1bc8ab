-- The two environments: the candidate's world, and the suite's, from which that world can be seen.
-- Each has libraries of its own, so that neither can replace the other's functions.

local next, type, select, error, rawget, rawset = next, type, select, error, rawget, rawset
local load, pcall, setmetatable, getmetatable = load, pcall, setmetatable, getmetatable
local open, read, close = io.open, io.stdout.read, io.stdout.close
local getinfo, traceback = debug.getinfo, debug.traceback
local package = package
local searchpath, config = package.searchpath, package.config
local random = math.random
local gsub = string.gsub

-- Not for programs: what loads code of the machine, or looks into other functions.
local CLOSED = { arg = true, debug = true, package = true, require = true, _G = true }

-- What decides how strings are compared and shown.
local FIXED_OF_STRINGS = {
  __tostring = true, __name = true, __metatable = true, __lt = true, __le = true, __eq = true,
}

local function copied(library)
  local made = {}
  for key, value in next, library do made[key] = value end
  return made
end

-- debug.getinfo without the functions themselves: a function shows the suite's constants.
local function plain_getinfo(...)
  local at = type((...)) == "thread" and 2 or 1
  local arguments = { ... }
  if type(arguments[at]) == "number" and at == 1 then arguments[at] = arguments[at] + 1 end
  local wanted = arguments[at + 1]
  if type(wanted) == "string" then arguments[at + 1] = gsub(wanted, "[f>]", "") end
  local info = getinfo(arguments[1], arguments[2], arguments[3])
  if info ~= nil then info.func = nil end
  return info
end

-- Functions that compile text, for `environment` where they are given none. Only text: nothing
-- checks that precompiled code is what a compiler would make.
local function add_loaders(made, environment)
  local function load_text(chunk, name, _, ...)
    if select("#", ...) == 0 then return load(chunk, name, "t", environment) end
    return load(chunk, name, "t", (...))
  end
  local function load_file(name, ...)
    if name == nil then return load_text("", "=stdin", "t", ...) end
    local file, problem = open(name, "rb")
    if file == nil then return nil, "cannot open " .. problem end
    local text = read(file, "a")
    close(file)
    return load_text(gsub(text, "^#[^\n]*", ""), "@" .. name, "t", select(2, ...))
  end
  made.load = load_text
  made.loadfile = load_file
  function made.dofile(name)
    local chunk, problem = load_file(name)
    if chunk == nil then error(problem, 0) end
    return chunk()
  end
end

local function add_require(made, environment, modules)
  local loaded = { _G = environment }
  for name, value in next, made do
    if type(value) == "table" then loaded[name] = value end
  end
  for name, value in next, modules do loaded[name] = value end
  local own = {
    loaded = loaded, preload = {}, path = package.path, cpath = "", config = config,
    searchpath = searchpath,
  }
  loaded.package = own
  made.package = own
  function made.require(name)
    local value = loaded[name]
    if value ~= nil then return value end
    local chunk, place = own.preload[name], ":preload:"
    if chunk == nil then
      local found, tried = searchpath(name, own.path)
      if found == nil then error("module '" .. name .. "' not found:" .. tried, 2) end
      local problem
      chunk, problem = made.loadfile(found)
      if chunk == nil then error("error loading module '" .. name .. "': " .. problem, 2) end
      place = found
    end
    value = chunk(name, place)
    if value ~= nil then loaded[name] = value end
    if loaded[name] == nil then loaded[name] = true end
    return loaded[name], place
  end
end

-- Fills `made` with what Lua has, for programs in `environment`.
local function fill(made, environment, modules)
  for name, value in next, _G do
    if not CLOSED[name] then
      made[name] = type(value) == "table" and copied(value) or value
    end
  end
  made._G = environment
  made.arg = {}
  made.string.dump = nil
  made.debug = { traceback = traceback, getinfo = plain_getinfo }
  add_loaders(made, environment)
  add_require(made, environment, modules)
end

-- A table that answers whatever it is asked with a number that nothing else has.
local function stranger()
  local function any() return random(1 << 40, 1 << 50) end
  return setmetatable({ any(), any() }, { __index = any, __len = any, __unm = any })
end

-- Strings have one metatable everywhere. Their own methods come first in it; those that a
-- candidate adds, in `string` or by an `__index`, come after. Operators it may add or replace.
local function share_strings(world)
  local strings = getmetatable("")
  local methods, added = copied(world.string), world.string
  function strings.__index(text, name)
    local method = methods[name]
    if method ~= nil then return method end
    if type(added) == "function" then return added(text, name) end
    return added[name]
  end
  strings.__metatable = setmetatable({}, {
    __index = function(_, event)
      if event == "__index" then return added end
      return strings[event]
    end,
    __newindex = function(_, event, value)
      if event == "__index" then
        added = value
      elseif not FIXED_OF_STRINGS[event] then
        strings[event] = value
      end
    end,
  })
end

-- The candidate's environment. Returns it, and a function that says whether tables of the
-- candidate's take strangers for equal.
local function new_world(modules)
  local world = {}
  fill(world, world, modules)
  local metatables = {}
  function world.setmetatable(...)
    local made = setmetatable(...)
    local metatable = select(2, ...)
    if metatable ~= nil then metatables[metatable] = true end
    return made
  end
  share_strings(world)
  local function lies()
    for metatable in next, metatables do
      local equal = rawget(metatable, "__eq")
      if equal ~= nil then
        -- One that is equal to strangers only, or only where it is asked itself.
        for _, own in next, { stranger(), setmetatable({}, metatable) } do
          local answered, answer = pcall(equal, own, stranger())
          if answered and answer then return true end
        end
      end
    end
    return false
  end
  return world, lies
end

-- A library as the suite sees it: its own functions, then those that the candidate has added. What
-- a suite replaces in it, such as a clock, it replaces for the candidate too.
local function shared_library(own, other)
  setmetatable(own, { __index = other })
  return setmetatable({}, {
    __index = own,
    __newindex = function(_, name, value)
      own[name] = value
      rawset(other, name, value)
    end,
    __pairs = function() return next, own end,
  })
end

-- The suite's environment: libraries that the candidate did not touch, then what the solution
-- made: its top-level locals (`exported`) and its globals. What the suite makes stays its own: a
-- candidate that has taken a name beforehand would read what is expected there. Returns it, the
-- functions of the language in it, and what the suite makes.
local function new_stage(world, exported, modules)
  local stage, base, own = {}, {}, {}
  fill(base, stage, modules)
  for name, library in next, base do
    local other = name ~= "_G" and name ~= "package" and rawget(world, name)
    if type(library) == "table" and type(other) == "table" then
      base[name] = shared_library(library, other)
      base.package.loaded[name] = base[name]
    end
  end
  setmetatable(stage, {
    __index = function(_, name)
      local value = own[name]
      if value == nil then value = base[name] end
      if value == nil then value = exported[name] end
      if value == nil then value = world[name] end
      return value
    end,
    __newindex = function(_, name, value)
      own[name] = value
      if base[name] ~= nil then rawset(world, name, value) end
    end,
    __pairs = function() return next, own end,
  })
  return stage, base, own
end

return { new_world = new_world, new_stage = new_stage }
