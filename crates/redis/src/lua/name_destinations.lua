#!lua
-- The numbers of destinations, given where new.
-- KEYS   cp:names, its numbers, its destinations
-- ARGV   names..
-- reply  time, numbers..
-- bound  500 names
local reply = { t }
for i = 1, #ARGV do
  local no = redis.call('HGET', KEYS[1], 'd:' .. ARGV[i])
  if not no then
    no = redis.call('HINCRBY', KEYS[2], 'd', 1)
    redis.call('HSET', KEYS[1], 'd:' .. ARGV[i], no, 'n:' .. no, ARGV[i])
  end
  redis.call('ZADD', KEYS[3], 0, ARGV[i])
  reply[i + 1] = tonumber(no)
end
return reply
