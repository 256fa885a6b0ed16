#!lua flags=no-writes
-- The first events of the log, with their users.
-- KEYS   the shard's tag
-- ARGV   limit, bytes at most (of events and users together; one event is always read)
-- reply  time, head, control number, n events, events.., then (user number, value)..
-- bound  250 events, about 1 MiB and one step of 16 events more
local limit, bytes_max, bytes = num(), num(), 0
local events, users, known, full = {}, {}, {}, false
while #events < limit and not full do
  local step = math.min(16, limit - #events)
  local some = peek('LRANGE', 'ev', #events, #events + step - 1) or {}
  for i = 1, #some do
    local e = some[i]
    local no = sub(e, 7, 11)
    local value = not known[no] and #no == 5 and peek('GET', 'u:' .. no)
    bytes = bytes + #e + (value and #value or 0)
    if bytes > bytes_max and #events > 0 then
      full = true
      break
    end
    events[#events + 1] = e
    known[no] = true
    if value then
      users[#users + 1] = no
      users[#users + 1] = value
    end
  end
  full = full or #some < step
end
local reply = { t, tonumber(peek('GET', 'evhead') or 0) or 0, tonumber(peek('GET', 'ctlno') or 0) or 0, #events }
for i = 1, #events do
  reply[#reply + 1] = events[i]
end
for i = 1, #users do
  reply[#reply + 1] = users[i]
end
return reply
