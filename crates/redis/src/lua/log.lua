#!lua flags=no-writes
-- Entries of the send log from a place on, those that hold some bytes.
-- KEYS   the shard's tag
-- ARGV   direction (new: oldest first | old: newest first), from, entries to look at, bytes to find ('': all)
-- reply  time, entries looked at, id of the last one ('': none), then (id, rows)..
-- bound  1,000 entries of 64 rows
local range, from, n, needle = arg() == 'new' and 'XRANGE' or 'XREVRANGE', arg(), num(), arg()
local found = peek(range, 'log', from, range == 'XRANGE' and '+' or '-', 'COUNT', n) or {}
local reply = { t, #found, #found > 0 and found[#found][1] or '' }
for i = 1, #found do
  local id, fields = found[i][1], found[i][2]
  local rows = fields[3] == 'r' and fields[4] or ''
  if needle == '' or string.find(rows, needle, 1, true) then
    reply[#reply + 1] = id
    reply[#reply + 1] = rows
  end
end
return reply
