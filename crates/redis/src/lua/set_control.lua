#!lua flags=allow-oom
-- Shows the shard a control word, and lets held lanes go when sends are served.
-- KEYS   the shard's tag
-- ARGV   campaign, word
-- reply  time, 1 if there are more held lanes: call again
-- bound  256 lanes
local campaign, word = arg(), arg()
local stored = call('HGET', 'ctl', campaign)
if stored and #stored == 12 and number('>I5', stored, 8) > number('>I5', word, 8) then
  return { t, 0 }
end
if stored ~= word then
  call('HSET', 'ctl', campaign, word)
  call('INCR', 'ctlno')
end
if byte(word) == 2 then
  return { t, 0 }
end
local held = call('ZRANGEBYLEX', 'held', '[' .. campaign, '[' .. campaign .. string.rep('\255', 6), 'LIMIT', 0, 256)
for i = 1, #held do
  to_ring(held[i])
end
if #held > 0 then
  call('ZREM', 'held', unpack(held))
  wake('q')
end
return { t, #held == 256 and 1 or 0 }
