#!lua flags=no-writes
-- What did not fit into a claim, in order, until the bytes are used up; at least one.
-- KEYS   the shard's tag
-- ARGV   bytes at most; then (key suffix, field: '' for a string)..
-- reply  time, values..
-- bound  384 look-ups, about 1 MiB
local bytes_max, bytes, reply = num(), 0, { t }
while arg_at < #ARGV and bytes < bytes_max do
  local key, field = arg(), arg()
  local value = field == '' and peek('GET', key) or (field ~= '' and peek('HGET', key, field))
  reply[#reply + 1] = value
  bytes = bytes + (value and #value or 0)
end
return reply
