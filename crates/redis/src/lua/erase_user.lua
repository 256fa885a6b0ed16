#!lua flags=allow-oom
-- Forgets a user's id, profile and all that is kept under the number, unless a send to it is leased. Allowed without memory: it frees some.
-- KEYS   the shard's tag
-- ARGV   id bucket, id, user number
-- reply  time, 1 done | 0 a send is leased
-- bound  the leases of a shard; six keys
local bucket, id, no = 'id:' .. arg(), arg(), arg()
local leases = call('ZRANGE', 'lease', 0, -1)
for i = 1, #leases do
  if sub(leases[i], 20, 24) == no then
    return { t, 0 }
  end
end
if call('HGET', bucket, id) == no then
  call('HDEL', bucket, id)
end
for _, key in ipairs({ 'u:', 'n:', 'x:', 'r:', 'h:' }) do
  call('UNLINK', key .. no)
end
return { t, 1 }
