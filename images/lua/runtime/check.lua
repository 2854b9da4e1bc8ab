-- Says whether the solution is Lua, without running it.

local file <close> = assert(io.open("solution.lua", "rb"))
local chunk, problem = load(file:read("a"), "@solution.lua", "t")
if not chunk then
  io.stderr:write(problem, "\n")
  os.exit(1)
end
