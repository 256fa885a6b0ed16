#!lua
-- Users by id; the unknown get a number where an empty profile is given.
-- KEYS   the shard's tag
-- ARGV   bytes at most; then (id bucket, id, empty profile or '')..
-- reply  time, for each, until the bytes are used up (at least one): number (nil: unknown), value
-- bound  1,000 users, about 1 us each, about 1 MiB
local bytes_max, bytes, reply = num(), 0, { t }
while arg_at < #ARGV and bytes < bytes_max do
  local bucket, id, fresh = 'id:' .. arg(), arg(), arg()
  local no = call('HGET', bucket, id)
  local value = no and #no == 5 and call('GET', 'u:' .. no)
  if not value and fresh ~= '' then
    if not no or #no ~= 5 then
      no = pack('>I5', call('INCR', 'un'))
      call('HSET', bucket, id, no)
    end
    call('SET', 'u:' .. no, fresh)
    value = fresh
  end
  reply[#reply + 1] = value and no
  reply[#reply + 1] = value
  bytes = bytes + (value and #value or 0)
end
return reply
