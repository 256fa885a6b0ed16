#!lua flags=no-writes
-- What is kept of users' entries into campaigns, with the marks of the entries that each record lists.
-- KEYS   the shard's tag
-- ARGV   (user number, campaign)..
-- reply  time, then for each: record ('': none), marks (entry key, code)..
-- bound  512 records of at most 100 entries, about 1 us an entry
local reply = { t }
while arg_at < #ARGV do
  local user, campaign = arg(), arg()
  local record, marks = peek('HGET', 'n:' .. user, campaign) or '', {}
  for i = 1, #record >= 12 and byte(record, 2) or 0 do
    local key = sub(record, 45 * i - 32, 45 * i - 25)
    local mark = #key == 8 and peek('HGET', 'n:' .. user, campaign .. key)
    if mark then
      marks[#marks + 1] = key .. mark
    end
  end
  reply[#reply + 1] = record
  reply[#reply + 1] = table.concat(marks)
end
return reply
