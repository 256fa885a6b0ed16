-- What a user had of a campaign: `campanile_core::campaign_history` has the bytes.
-- `history` reads one, or an empty one; `note` takes in what a settle did; answers 1 where the user is new, 1 where the entry is.
local now, no_time = pack('>I6', t), string.rep('\0', 6)
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

-- Marks the last send as converted, if it is still that one: key and action, 9 bytes.
local function note_converted(user, campaign, entry)
  local h, there = history(user, campaign)
  if there and sub(h, 20, 28) == entry and byte(h, 37) % 2 == 0 then
    call('HSET', 'h:' .. user, campaign, sub(h, 1, 36) .. char(byte(h, 37) + 1) .. sub(h, 38))
  end
end

-- entry: key and action, 9 bytes. happened, as a byte: D delivered, F failed, B held back, P posted. first: it made the send's first request.
local function note(user, campaign, entry, happened, first, variant, max, some)
  local h, there = history(user, campaign)
  local flags, new_user, new_entry = byte(h, 37), 0, 0
  local reached, posted, name = sub(h, 2, 28), first and sub(entry, 1, 8) or sub(h, 29, 36), nil
  if first then
    new_user = flags < 4 and 1 or 0
    new_entry = (new_user == 1 or sub(h, 29, 36) ~= posted) and 1 or 0
    flags = flags + 4 * new_user
  end
  if happened == 68 or happened == 66 then
    -- Sent again, it is still the same send.
    local converted = flags % 2 == 1 and sub(h, 20, 28) == entry and sub(h, 14, 19) ~= no_time and 1 or 0
    local delivers = happened == 68
    reached, name = (delivers and now or sub(h, 2, 7)) .. sub(h, 8, 13) .. now .. entry, delivers and variant or ''
    flags = flags - flags % 4 + (delivers and 0 or 2) + converted
  elseif happened == 70 then
    reached = sub(h, 2, 7) .. now .. sub(h, 14, 28)
  end
  call('HSET', 'h:' .. user, campaign, '\1' .. reached .. posted .. char(flags) .. (name or sub(h, 38)))
  if not there then
    forget_oldest(user, max, some)
  end
  return new_user, new_entry
end
