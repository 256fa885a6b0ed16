#!lua
-- Every destination that something is set for or that is in trouble, if anything changed.
-- KEYS   cp:names, what is set for destinations
-- ARGV   the version seen
-- reply  time, version, 1 if it changed, then for each: number, name, policy, breaker (nil: there is none)
-- bound  1,000 policies and 1,000 breakers, only after a change
local seen = num()
-- 0 says that nothing was seen yet.
local version = math.max(tonumber(redis.call('HGET', KEYS[2], 'v') or 0) or 0, 1)
if version == seen then
  return { t, version, 0 }
end
local all = redis.call('HGETALL', KEYS[2])
local numbers, set = {}, {}
for i = 1, #all, 2 do
  local kind, no = string.match(all[i], '^([pb]):(%d+)$')
  if kind then
    if not set[no] then
      set[no] = {}
      numbers[#numbers + 1] = no
    end
    set[no][kind] = all[i + 1]
  end
end
local reply = { t, version, 1 }
for i = 1, #numbers do
  local no = numbers[i]
  reply[#reply + 1] = tonumber(no)
  reply[#reply + 1] = redis.call('HGET', KEYS[1], 'n:' .. no) or ''
  reply[#reply + 1] = set[no].p or false
  reply[#reply + 1] = set[no].b or false
end
return reply
