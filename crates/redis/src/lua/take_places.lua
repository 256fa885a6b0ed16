#!lua
-- Takes places for requests under way at one destination, each until it is left or its time has passed.
-- KEYS   {cp:d:<no>}
-- ARGV   places there are, ms a place lasts, places asked for..
-- reply  time, how many of them, from the first on, are held now
-- bound  128 places
local limit, lasts = num(), num()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', t)
local taken, held = redis.call('ZCARD', KEYS[1]), 0
for i = 3, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    if taken >= limit then
      break
    end
    redis.call('ZADD', KEYS[1], string.format('%.0f', t + lasts), ARGV[i])
    taken = taken + 1
  end
  held = held + 1
end
if held > 0 then
  redis.call('PEXPIRE', KEYS[1], lasts + 1000)
end
return { t, held }
