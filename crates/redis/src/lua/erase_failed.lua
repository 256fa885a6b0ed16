#!lua flags=allow-oom
-- Forgets the failed sends of a user, some at a time. Allowed without memory: it frees some.
-- KEYS   the shard's tag
-- ARGV   user number, how many to pass over
-- reply  time, how many to pass over next, -1: none is left
-- bound  5,000 failed sends
local no, from = arg(), num()
local found = call('ZRANGE', 'failed', from, from + 4999)
local gone = 0
for i = 1, #found do
  if sub(found[i], 12, 16) == no then
    call('ZREM', 'failed', found[i])
    gone = gone + 1
  end
end
return { t, #found < 5000 and -1 or from + #found - gone }
