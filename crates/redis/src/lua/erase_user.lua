#!lua flags=allow-oom
-- Forgets a user's id, profile and all that is kept under the number, unless a send to it is leased. Allowed without memory: it frees some.
-- KEYS   the shard's tag
-- ARGV   id bucket, id, user number
-- reply  time, 1 done | 0 a send is leased
-- bound  the leases of a shard; six keys
local bucket, id, no = 'id:' .. arg(), arg(), arg()
local fences, leased = call('ZRANGE', 'lease', 0, -1), false
for i = 1, #fences do
  each_lease(call('GET', 'l:' .. fences[i]) or '', function(_, _, _, core)
    leased = leased or sub(core, 3, 7) == no
  end)
end
if leased then
  return { t, 0 }
end
if call('HGET', bucket, id) == no then
  call('HDEL', bucket, id)
end
for _, key in ipairs({ 'u:', 'n:', 'x:', 'r:', 'h:' }) do
  call('UNLINK', key .. no)
end
return { t, 1 }
