-- What a user had of a campaign: `campanile_core::campaign_history` has the bytes.
-- `history` reads one, or an empty one; `note` takes in what a settle did; answers 1 where the user is new, 1 where the entry is.
local no_history = '\1' .. string.rep('\0', 36)

local function history(user, campaign)
  local h = call('HGET', 'h:' .. user, campaign)
  if h and (#h < 37 or byte(h) ~= 1) then
    bad('h:' .. user, h)
    h = false
  end
  return h or no_history, h and true or false
end

-- Those that were quiet for longest.
local function forget_oldest(user, max, some)
  if call('HLEN', 'h:' .. user) <= max then
    return
  end
  local all, kept = call('HGETALL', 'h:' .. user), {}
  for i = 1, #all, 2 do
    local h = all[i + 1]
    local latest = #h < 37 and '' or sub(h, 2, 7)
    for at = 8, 14, 6 do
      local other = sub(h, at, at + 5)
      latest = other > latest and other or latest
    end
    kept[#kept + 1] = { latest, all[i] }
  end
  table.sort(kept, function(a, b)
    return a[1] == b[1] and a[2] < b[2] or a[1] < b[1]
  end)
  for i = 1, math.min(some, #kept) do
    call('HDEL', 'h:' .. user, kept[i][2])
  end
end

-- happened: D delivered, F failed, B held back, P posted. entry: key and action, 9 bytes. first: it made the send's first request.
local function note(user, campaign, happened, entry, first, variant, max, some)
  local h, there = history(user, campaign)
  local flags, now = byte(h, 37), pack('>I6', t)
  local delivered, failed, last, posted, name = sub(h, 2, 7), sub(h, 8, 13), sub(h, 14, 28), sub(h, 29, 36), sub(h, 38)
  local new_user, new_entry = 0, 0
  if first then
    local is_posted, key = bit.band(flags, 4) ~= 0, sub(entry, 1, 8)
    new_user = is_posted and 0 or 1
    new_entry = is_posted and posted == key and 0 or 1
    posted, flags = key, bit.bor(flags, 4)
  end
  if happened == 'F' then
    failed = now
  elseif happened == 'D' or happened == 'B' then
    delivered = happened == 'D' and now or delivered
    local converted = sub(last, 1, 6) ~= '\0\0\0\0\0\0' and sub(last, 7) == entry and flags % 2 or 0
    last, name = now .. entry, happened == 'D' and variant or ''
    flags = bit.band(flags, 4) + (happened == 'B' and 2 or 0) + converted
  end
  call('HSET', 'h:' .. user, campaign, '\1' .. delivered .. failed .. last .. posted .. char(flags) .. name)
  if not there then
    forget_oldest(user, max, some)
  end
  return new_user, new_entry
end
