#!lua
-- Writes profiles whose version is still the one read, if the control number is, and logs what happened to those that were written.
-- KEYS   the shard's tag
-- ARGV   control number, log length at most; then (number, old version, value, n items, items..)..
-- reply  time, C and the control number: nothing was written | time, F: the log is full
--        | time, W, one character a user: 1 written (also by a repeat of this call), 0 it was not
-- bound  1,000 users, about 2 us each with an item
local control, max, users, happened = num(), num(), {}, 0
while arg_at < #ARGV do
  local user = { no = arg(), version = arg(), value = arg(), items = {} }
  for i = 1, num() do
    user.items[i] = arg()
  end
  happened = happened + #user.items
  users[#users + 1] = user
end
local control_now = tonumber(call('GET', 'ctlno') or 0) or 0
if control_now ~= control then
  return { t, 'C', control_now }
end
local length = happened > 0 and call('LLEN', 'ev') or 0
if length + happened > max and happened > 0 then
  return { t, 'F' }
end
local answers, items = {}, {}
for i = 1, #users do
  local user = users[i]
  local key = 'u:' .. user.no
  local stored = call('GETRANGE', key, 0, 7)
  if stored == user.version then
    call('SET', key, user.value)
    answers[i] = '1'
    for j = 1, #user.items do
      items[#items + 1] = pack('>I6', t) .. user.no .. user.items[j]
    end
  else
    answers[i] = stored == sub(user.value, 1, 8) and call('GET', key) == user.value and '1' or '0'
  end
end
append_events(items)
return { t, 'W', table.concat(answers) }
