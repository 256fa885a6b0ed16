#!lua flags=allow-oom
-- Ends or moves leased sends; one log entry for all of them. Allowed without memory: the way out.
-- KEYS   the shard's tag
-- ARGV   log rows at most, log kept ms, failed sends at most, failed kept ms, histories at most, forgotten at once; then per send:
--        member, verdict (D F S K X N R H B L), attempted (1|0), variant or '', hops (1 byte), noted (D F B P or ''), late bucket or '',
--        text (S and N: reason; R, H, L: 6 bytes of at, H with 6 more of a new due instant, L with 4 more of the destination whose
--        lane it goes to), kept request, log row
-- reply  time, one character a send: 1 done, 0 its lease was gone
-- bound  64 sends, about 4 us each; kept requests of at most 4 MiB
local rows_max, rows_ms, failed_max, failed_ms, histories_max, forgotten = num(), num(), num(), num(), num(), num()
local sends, members = {}, {}
while arg_at < #ARGV do
  local s = { m = arg(), verdict = arg(), attempted = arg() == '1', variant = arg(), hops = arg(), noted = arg(), late = arg() }
  s.text, s.kept, s.row = arg(), arg(), arg()
  sends[#sends + 1] = s
  members[#members + 1] = s.m
end
if #sends == 0 then
  return { t, '' }
end
local held = call('ZMSCORE', 'lease', unpack(members))
local live, answers, taken = {}, {}, {}
for i = 1, #sends do
  local is_live = held[i] and not taken[sends[i].m]
  answers[i] = is_live and '1' or '0'
  if is_live then
    live[#live + 1] = sends[i]
    taken[sends[i].m] = true
  end
end
if #live == 0 then
  return { t, table.concat(answers) }
end

local sums, fields = {}, {}
local function tally(campaign, field, by)
  local of = sums[campaign]
  if not of then
    of = {}
    sums[campaign] = of
  end
  of[field] = (of[field] or 0) + by
end

-- The counters of an action, by name: `pending.0`.
local function of_action(action)
  local names = fields[action]
  if not names then
    names = {}
    for _, name in ipairs({ 'planned', 'pending', 'delivered', 'failed', 'suppressed', 'attempts', 'retries', 'retrying', 'latency' }) do
      names[name] = name .. '.' .. action
    end
    fields[action] = names
  end
  return names
end

local function of_variant(s, what)
  if s.variant ~= '' then
    tally(sub(s.m, 9, 12), 'variant.' .. byte(s.core, 16) .. '.' .. s.variant .. '.' .. what, 1)
  end
end

local gone, failed, backs = {}, {}, {}
local words = {}

-- Whether the campaign's control word has a bit.
local function has(campaign, flag)
  local bits = words[campaign]
  if not bits then
    local word = call('HGET', 'ctl', campaign)
    bits = word and #word == 12 and byte(word, 2) or 0
    words[campaign] = bits
  end
  return bit.band(bits, flag) ~= 0
end

-- How an entry ended, beside its delivery record, where a claim has marked it: 2 posted at least once, 3 not.
local function mark(s, campaign)
  local key, field = 'n:' .. sub(s.core, 3, 7), campaign .. sub(s.core, 8, 15)
  if not has(campaign, 8) or call('HEXISTS', key, field) == 0 then
    return
  end
  local untouched = sub(s.core, 26, 27) == '\0\0'
  if s.verdict == 'R' or ((s.verdict == 'H' or s.verdict == 'B') and not untouched) then
    return
  elseif s.verdict == 'H' or s.verdict == 'B' then
    call('HDEL', key, field)
  else
    call('HSET', key, field, (s.verdict == 'S' or s.verdict == 'N' or s.verdict == 'K') and untouched and '\3' or '\2')
  end
end

-- The send is over; with steps (control word bit 16) the scheduler ends its entry, which keeps what it keeps.
local function finish(s, campaign, names)
  local lane, core = sub(s.m, 9, 17), s.core
  local user, entry = sub(core, 3, 7), campaign .. sub(core, 8, 15)
  local flags = byte(core, 2)
  local stays_open = s.verdict ~= 'N' and byte(lane, 9) ~= 2 and has(campaign, 16)
  tally(campaign, names.pending, -1)
  if not stays_open then
    tally(campaign, 'open', -1)
  end
  if byte(s.m, 43) > 0 then
    tally(campaign, names.retrying, -1)
  end
  if s.verdict == 'N' then
    -- Did not enter after all.
    tally(campaign, names.planned, -1)
    tally(campaign, 'entered', -1)
    tally(campaign, 'refused.' .. s.text, 1)
  elseif not stays_open then
    tally(campaign, 'finished', 1)
  end
  if s.verdict == 'K' then
    tally(campaign, names.planned, -1)
  elseif s.verdict ~= 'N' then
    of_variant(s, s.verdict == 'D' and 'delivered' or s.verdict == 'F' and 'failed' or 'suppressed')
  end
  if s.verdict == 'F' then
    tally(campaign, names.failed, 1)
    if s.kept ~= '' then
      call('HSET', 'r:' .. user, entry .. sub(core, 16, 16), s.kept)
      core = sub(core, 1, 1) .. char(bit.bor(flags, 4)) .. sub(core, 3)
    end
    failed[#failed + 1] = t
    failed[#failed + 1] = lane .. core
    return
  end
  if s.verdict == 'D' or s.verdict == 'S' then
    tally(campaign, s.verdict == 'D' and names.delivered or names.suppressed .. '.' .. s.text, 1)
  end
  if bit.band(flags, 2) ~= 0 and not stays_open then
    call('HDEL', 'x:' .. user, entry)
  end
  if bit.band(flags, 4) ~= 0 then
    call('HDEL', 'r:' .. user, entry .. sub(core, 16, 16))
  end
end

-- Never attempted, so an edit may still reach it. What is sent again was.
local function unpinned(lane, core)
  if sub(core, 26, 27) ~= '\0\0' or byte(lane, 9) == 2 then
    return core
  end
  return sub(core, 1, 1) .. char(byte(core, 2) - byte(core, 2) % 2) .. sub(core, 3, 27) .. '\0\0\0\0'
end

local function go_on(s, campaign, names)
  local lane, core = sub(s.m, 9, 17), s.core
  if s.verdict == 'R' then
    call('HSET', 'r:' .. sub(core, 3, 7), campaign .. sub(core, 8, 16), s.kept)
    core = sub(core, 1, 1) .. char(bit.bor(byte(core, 2), 4)) .. sub(core, 3)
    if byte(lane, 9) == 0 then
      lane = sub(lane, 1, 8) .. '\1'
    end
    tally(campaign, names.retries, 1)
    of_variant(s, 'retries')
    if byte(s.m, 43) == 0 and byte(core, 26) > 0 then
      tally(campaign, names.retrying, 1)
    end
    place(s.text .. lane .. core)
  elseif s.verdict == 'H' then
    core = unpinned(lane, core)
    if #s.text == 12 then
      core = sub(core, 1, 16) .. sub(s.text, 7) .. sub(core, 23)
    end
    place(sub(s.text, 1, 6) .. lane .. core)
  else
    if s.verdict == 'L' and #s.text == 10 then
      lane = sub(lane, 1, 4) .. sub(s.text, 7) .. sub(lane, 9)
    end
    backs[#backs + 1] = { lane = lane, core = unpinned(lane, core), parked = s.verdict == 'L' and number('>I6', s.text) }
  end
end

-- Tells the event log that a send ended, or that it was posted for the first time: `core::send_outcome` has the bytes.
local outcomes = {}
local function emit(s, campaign, first_post)
  if s.row ~= '' and (s.verdict ~= 'R' or first_post) and has(campaign, 1) then
    local flags = (first_post and 1 or 0) + (byte(s.m, 17) ~= 2 and has(campaign, 16) and 2 or 0)
    outcomes[#outcomes + 1] = pack('>I6', t) .. sub(s.core, 3, 7) .. '\2' .. char(flags) .. s.hops
      .. char(#s.variant) .. s.variant .. s.row
  end
end

local rows = {}
for i = 1, #live do
  local s = live[i]
  gone[i] = s.m
  s.core = sub(s.m, 18)
  local campaign, names = sub(s.m, 9, 12), of_action(byte(s.core, 16))
  local first = s.attempted and byte(s.core, 26) == 0 and byte(s.m, 17) ~= 2
  emit(s, campaign, first)
  if s.noted ~= '' then
    local user, entry = note(sub(s.core, 3, 7), campaign, s.noted, sub(s.core, 8, 16), first, s.variant, histories_max, forgotten)
    if user + entry > 0 then
      tally(campaign, 'users', user)
      tally(campaign, 'reached', entry)
    end
  end
  if s.late ~= '' then
    tally(campaign, names.latency .. '.' .. s.late, 1)
    of_variant(s, 'latency.' .. s.late)
  end
  if s.attempted then
    local attempts = math.min(255, byte(s.core, 26) + 1)
    s.core = sub(s.core, 1, 25) .. char(attempts) .. sub(s.core, 27)
    tally(campaign, names.attempts, 1)
    of_variant(s, 'attempts')
  end
  if s.verdict ~= 'X' then
    mark(s, campaign)
  end
  if string.find('DFSKN', s.verdict, 1, true) then
    finish(s, campaign, names)
  elseif s.verdict ~= 'X' then
    go_on(s, campaign, names)
  end
  if s.row ~= '' then
    rows[#rows + 1] = s.row
  end
end
call('ZREM', 'lease', unpack(gone))

-- From the last to the first, so that the front of a lane keeps its order.
local let_go = false
for i = #backs, 1, -1 do
  if call('LPUSH', 'q:' .. backs[i].lane, backs[i].core) == 1 then
    to_ring(backs[i].lane)
    let_go = true
  end
end
-- Nothing of a parked lane is claimed until its instant; one that is held stays held.
for i = 1, #backs do
  local back = backs[i]
  if back.parked and not call('ZSCORE', 'held', back.lane) then
    call('ZREM', 'ring', back.lane)
    call('ZADD', 'park', back.parked, back.lane)
  end
end
for campaign, of in pairs(sums) do
  for field, by in pairs(of) do
    count(campaign, field, by)
  end
end
flush()
if let_go then
  wake('q')
end
append_events(outcomes)

if #failed > 0 then
  call('ZADD', 'failed', unpack(failed))
  local over = math.min(call('ZCARD', 'failed') - failed_max, 128)
  local old = over > 0 and call('ZRANGE', 'failed', 0, over - 1)
    or call('ZRANGEBYSCORE', 'failed', '-inf', t - failed_ms, 'LIMIT', 0, 128)
  for i = 1, #old do
    local m = old[i]
    call('ZREM', 'failed', m)
    if #m == 40 then
      local user, entry = sub(m, 12, 16), sub(m, 1, 4) .. sub(m, 17, 24)
      call('HDEL', 'x:' .. user, entry)
      call('HDEL', 'r:' .. user, entry .. sub(m, 25, 25))
    end
  end
end

write_log(rows, rows_max, rows_ms)
return { t, table.concat(answers) }
