#!lua
-- Appends events to the log in order; repeats are left out, unknown users get a number.
-- KEYS   the shard's tag
-- ARGV   log length at most; n users, (id bucket, id, empty profile)..;
--        n events, (place of its user, seen bucket, id hash as decimal, accepted at: 6 bytes, event)..
-- reply  time, one character an event: 1 new, 0 repeated | time, FULL
-- bound  500 events, about 3 us each
local max, users, events = num(), {}, {}
for i = 1, num() do
  users[i] = { bucket = 'id:' .. arg(), id = arg(), fresh = arg() }
end
for i = 1, num() do
  events[i] = { user = num(), bucket = arg(), hash = arg(), at = arg(), bytes = arg() }
end
local length = call('LLEN', 'ev')
if length + #events > max then
  return { t, 'FULL' }
end
for i = 1, #users do
  local user = users[i]
  user.no = call('HGET', user.bucket, user.id)
  if not user.no or #user.no ~= 5 then
    user.no = pack('>I5', call('INCR', 'un'))
    call('HSET', user.bucket, user.id, user.no)
    call('SET', 'u:' .. user.no, user.fresh)
  end
end
local day = math.floor(t / 86400000)
local fresh, answers = {}, {}
for i = 1, #events do
  local e = events[i]
  local today = 'seen:' .. day .. ':' .. e.bucket
  local is_new = call('SISMEMBER', 'seen:' .. (day - 1) .. ':' .. e.bucket, e.hash) == 0
    and call('SADD', today, e.hash) == 1
  answers[i] = is_new and '1' or '0'
  if is_new then
    if call('SCARD', today) == 1 then
      call('PEXPIREAT', today, (day + 2) * 86400000)
    end
    fresh[#fresh + 1] = e.at .. users[e.user].no .. e.bytes
  end
end
append_events(fresh)
return { t, table.concat(answers) }
