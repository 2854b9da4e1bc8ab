-- Compares and shows values by what they are, and not by what their metatables say of them.

local type, next, rawget, rawequal = type, next, rawget, rawequal
local abs = math.abs
local concat = table.concat
local gsub, format, byte, sub = string.gsub, string.format, string.byte, string.sub

local MAX_DEPTH, MAX_ITEMS, MAX_TEXT = 4, 20, 500

-- Whether two values are the same, tables by their contents. `margin`: how far numbers may be
-- apart; none where it is left out.
local function equal(a, b, margin, seen)
  if rawequal(a, b) then return true end
  if type(a) ~= type(b) then return false end
  if type(a) == "number" then
    return a == b or (margin ~= nil and abs(a - b) <= margin)
  end
  if type(a) ~= "table" then return false end
  seen = seen or {}
  -- What is being compared already, further up, decides itself there.
  if rawequal(seen[a], b) then return true end
  seen[a] = b
  for key, value in next, a do
    if not equal(value, rawget(b, key), margin, seen) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

-- Control characters as escapes, so that a text stays one line.
local function quoted(text)
  return '"' .. gsub(sub(text, 1, MAX_TEXT), '[%c"\\]', function(c)
    return format("\\%03d", byte(c))
  end) .. '"'
end

-- A value as text. Nothing of the candidate's is asked, and what is large is cut.
local function shown(value, depth)
  local kind = type(value)
  if kind == "string" then return quoted(value) end
  if kind == "number" then return value .. "" end
  if kind == "nil" then return "nil" end
  if kind == "boolean" then return value and "true" or "false" end
  if kind ~= "table" then return kind end
  depth = depth or 1
  if depth > MAX_DEPTH then return "{...}" end
  local parts, length = {}, 0
  while length < MAX_ITEMS and rawget(value, length + 1) ~= nil do
    length = length + 1
    parts[length] = shown(rawget(value, length), depth + 1)
  end
  for key, item in next, value do
    local listed = type(key) == "number" and key >= 1 and key <= length
    if not listed then
      if #parts >= MAX_ITEMS then
        parts[#parts + 1] = "..."
        break
      end
      parts[#parts + 1] = "[" .. shown(key, depth + 1) .. "] = " .. shown(item, depth + 1)
    end
  end
  return sub("{" .. concat(parts, ", ") .. "}", 1, MAX_TEXT)
end

return { equal = equal, shown = shown }
