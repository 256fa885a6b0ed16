-- What comes in with a request, an event or an occurrence: entries with their data, counts, single refusals.
-- Reading and writing are apart: a script reads all its arguments and checks, then writes.
local function read_entries()
  local entries = {}
  for i = 1, num() do
    entries[i] = { due = arg(), kept = arg() }
  end
  return entries
end

local function read_counts()
  local counts = {}
  for i = 1, num() do
    counts[i] = { campaign = arg(), field = arg(), by = arg() }
  end
  return counts
end

local function read_refused()
  local refused = {}
  for i = 1, num() do
    refused[i] = { campaign = arg(), row = arg() }
  end
  return refused
end

local function write_entries(entries)
  for i = 1, #entries do
    local e = entries[i].due
    if entries[i].kept ~= '' then
      call('HSET', 'x:' .. sub(e, 18, 22), sub(e, 7, 10) .. sub(e, 23, 30), entries[i].kept)
    end
    place(e)
  end
  flush()
end

local function write_counts(counts)
  for i = 1, #counts do
    count(counts[i].campaign, counts[i].field, counts[i].by)
  end
end

-- The newest 1,000 of a campaign are kept.
local function write_refused(refused)
  local seen = {}
  for i = 1, #refused do
    local key = 'refused:' .. refused[i].campaign
    call('LPUSH', key, refused[i].row)
    seen[key] = true
  end
  for key in pairs(seen) do
    call('LTRIM', key, 0, 999)
  end
end
