#!lua
-- A page of destinations in the order of their names.
-- KEYS   cp:names, its destinations, what is set for them
-- ARGV   the name before the page, limit
-- reply  time, then for each: number, name, policy, breaker (nil: there is none)
-- bound  1,000 names
local after, limit = arg(), num()
local names = redis.call('ZRANGEBYLEX', KEYS[2], after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, limit)
local reply = { t }
for i = 1, #names do
  local no = redis.call('HGET', KEYS[1], 'd:' .. names[i])
  if no then
    local set = redis.call('HMGET', KEYS[3], 'p:' .. no, 'b:' .. no)
    reply[#reply + 1] = tonumber(no)
    reply[#reply + 1] = names[i]
    reply[#reply + 1] = set[1]
    reply[#reply + 1] = set[2]
  end
end
return reply
