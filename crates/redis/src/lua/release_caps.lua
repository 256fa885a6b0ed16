#!lua flags=allow-oom
-- Gives back what sends have reserved, where their lease is live: they are not posted after all.
-- KEYS   the shard's tag
-- ARGV   lease members; those attempted before, or redelivered, are left as they are
-- reply  time
-- bound  64 sends, each over the rows of one user
local ROW, states = 23, {}
for i = 1, #ARGV do
  local m = arg()
  local fence = sub(m, 1, 7)
  states[fence] = states[fence] or states_of(fence) or {}
  if sub(m, 43, 44) == '\0\0' and states[fence][byte(m, 8) + 1] == 1 then
    local key, send, kept = 'n:' .. sub(m, 20, 24), sub(m, 9, 12) .. sub(m, 25, 33), {}
    local rows = call('HGET', key, 'k') or ''
    for at = 1, #rows - ROW + 1, ROW do
      if sub(rows, at, at + 12) ~= send then
        kept[#kept + 1] = sub(rows, at, at + ROW - 1)
      end
    end
    if #kept == 0 then
      call('HDEL', key, 'k')
    elseif #kept * ROW < #rows then
      call('HSET', key, 'k', table.concat(kept))
    end
  end
end
return { t }
