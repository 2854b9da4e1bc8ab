-- Loads the solution, runs the suite, and reports on descriptor 3.
--
-- Both run in this interpreter: a suite calls the solution's functions, and compares what they
-- return. They have environments of their own, made of copies, so that nothing here, in the
-- assertions and in the comparisons can be replaced by the candidate; what a function holds, as
-- the token is held here, is read with the closed parts of `debug` only. Nothing here uses an
-- operator or a method of strings that a candidate could have put into their metatable.

local token = io.read("a")
local searched = package.path
package.path = string.gsub(arg[0], "judge%.lua$", "?.lua")
local report = require("report").report
local new_counter = require("counting").new_counter
local worlds = require("worlds")
local new_unit = require("unit").new_unit
local shown = require("values").shown
package.path = searched

local exit, getlocal = os.exit, debug.getlocal
local load, pcall, type = load, pcall, type
local write, stderr = io.stderr.write, io.stderr

-- Called at the end of the solution's text, where its top-level locals can be seen.
local EPILOGUE = "\n;(function(_, seen) seen() end)(...)"

local function read(name)
  local file <close> = assert(io.open(name, "rb"))
  return file:read("a")
end

-- A first line that is for the shell stays, without its text.
local solution = string.gsub(read("solution.lua"), "^#[^\n]*", "")
local suite = read("suite.lua")
-- The suite is not for the candidate's eyes.
os.remove("suite.lua")

local phase = "COMPILE"

local function stop(verdict, message)
  report({ event = "stopped", verdict = verdict, phase = phase, message = message })
  exit(1)
end

-- An error ends everything at once, as it does under Lua.
local function crash(problem)
  local message = type(problem) == "string" and problem or "error: " .. shown(problem)
  write(stderr, "lua5.4: ", message, "\n")
  stop("RUNTIME_ERROR", message)
end

local counter = new_counter(suite, report)
local exported, modules = {}, {}
local candidates_unit = new_unit(new_counter("", function() end), error)
local world, lies = worlds.new_world({ luaunit = candidates_unit })
local suites_unit, look_in = new_unit(counter, crash)
modules.luaunit = suites_unit
local stage, base, own = worlds.new_stage(world, exported, modules)
look_in(own)
base.assert, base.error = counter.assert, counter.error

local function finish()
  if counter.failed == 0 and lies() then
    stop("TAMPERED", "a table of the solution takes strangers for equal")
  end
  report({ event = "end", token = token, passed = counter.held(), failed = counter.failed })
  exit(counter.failed == 0)
end

-- A suite that ends with another status says that something is wrong.
local function suites_exit(code)
  if counter.failed == 0 and code ~= nil and code ~= true and code ~= 0 then counter.fail() end
  finish()
end
rawset(base.os, "exit", suites_exit)

-- The solution with its locals exported, or as it is where it ends by a `return`.
local function compiled_solution()
  local chunk = load(solution .. EPILOGUE, "@solution.lua", "t", world)
  if chunk ~= nil then return chunk end
  local problem
  chunk, problem = load(solution, "@solution.lua", "t", world)
  if chunk == nil then stop("COMPILE_ERROR", problem) end
  return chunk
end

local function export_locals()
  if phase ~= "LOAD" then return end
  local index = 1
  while true do
    local name, value = getlocal(3, index)
    if name == nil then return end
    exported[name] = value
    index = index + 1
  end
end

local function main()
  local chunk = compiled_solution()
  local test, problem = load(suite, "@suite.lua", "t", stage)
  if test == nil then stop("TEST_ERROR", "the suite does not compile: " .. problem) end
  phase = "LOAD"
  local loaded, returned = pcall(chunk, "solution", export_locals)
  if not loaded then crash(returned) end
  base.package.loaded.solution = returned == nil and true or returned
  phase = "TEST"
  report({ event = "begin" })
  local fine, raised = pcall(test)
  if fine then finish() end
  -- What a failed assertion raises is no error beside it.
  if counter.failed > 0 or counter.is_own(raised) then finish() end
  crash(raised)
end

main()
