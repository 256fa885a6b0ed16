#!lua
-- Writes policies or breakers of destinations, each over the version it carries.
-- KEYS   what is set for destinations
-- ARGV   p | b, at most so many of them, then for each: number, version read (0: none), value (8 bytes of version first) or '' to remove
-- reply  time, one character each: 1 written, 0 another version is there, 2 there are too many
-- bound  100 of them
local kind, most = arg(), num()
local answers, changed = {}, false
while arg_at < #ARGV do
  local field, read, value = kind .. ':' .. arg(), num(), arg()
  local there = redis.call('HGET', KEYS[1], field)
  local version = there and #there >= 8 and number('>I8', there) or 0
  local answer = '1'
  if version ~= read then
    answer = '0'
  elseif not there and value ~= '' and tonumber(redis.call('HGET', KEYS[1], 'n' .. kind) or 0) >= most then
    answer = '2'
  elseif value == '' then
    if there then
      redis.call('HDEL', KEYS[1], field)
      redis.call('HINCRBY', KEYS[1], 'n' .. kind, -1)
      changed = true
    end
  else
    if not there then
      redis.call('HINCRBY', KEYS[1], 'n' .. kind, 1)
    end
    redis.call('HSET', KEYS[1], field, value)
    changed = true
  end
  answers[#answers + 1] = answer
end
if changed then
  -- Above 1, which is what somebody who saw nothing of it was told.
  if redis.call('HINCRBY', KEYS[1], 'v', 1) < 2 then
    redis.call('HSET', KEYS[1], 'v', 2)
  end
end
return { t, table.concat(answers) }
