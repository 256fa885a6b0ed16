#!lua flags=allow-oom
-- Forgets the refusals of a user in some campaigns. Allowed without memory: it frees some.
-- KEYS   the shard's tag
-- ARGV   user id, campaigns..
-- reply  time
-- bound  16 campaigns, 1,000 refusals each
local id = arg()
while arg_at < #ARGV do
  local key = 'refused:' .. arg()
  local rows = call('LRANGE', key, 0, 999)
  for i = 1, #rows do
    local row = rows[i]
    -- 12 bytes, then the length of the id in 2: `refused_row`.
    if #row > 14 and sub(row, 15, 14 + number('>I2', row, 13)) == id then
      call('LREM', key, 0, row)
    end
  end
end
return { t }
