-- The report on descriptor 3. Lua cannot open a descriptor by its number; a shell that it starts
-- can, and has written when it is done.

local execute = os.execute
local concat, sort = table.concat, table.sort
local gsub, format, byte, sub = string.gsub, string.format, string.byte, string.sub
local codepoint, len = utf8.codepoint, utf8.len
local type, next = type, next

local MAX_TEXT = 2000

local function escaped(c)
  return format("\\u%04x", byte(c))
end

local function escaped_character(c)
  local code = codepoint(c)
  if code < 0x10000 then return format("\\u%04x", code) end
  code = code - 0x10000
  return format("\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff))
end

local function quoted(text)
  text = sub(text, 1, MAX_TEXT)
  if len(text) == nil then
    return '"' .. gsub(text, '[%c"\'\\\127-\255]', escaped) .. '"'
  end
  text = gsub(text, '[%c"\'\\]', escaped)
  return '"' .. gsub(text, "[\xc2-\xf4][\x80-\xbf]+", escaped_character) .. '"'
end

-- Writes one event. Values are texts and integers.
local function report(event)
  local parts = {}
  for key, value in next, event do
    -- No conversion that asks the metatable of strings, which the candidate can reach.
    parts[#parts + 1] = '"' .. key .. '":' .. (type(value) == "string" and quoted(value) or value)
  end
  sort(parts)
  -- No text in it has an apostrophe: those are escaped.
  execute("printf '%s\\n' '{" .. concat(parts, ",") .. "}' >&3")
end

return { report = report }
