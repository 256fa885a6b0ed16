-- place(e) says where a due entry waits until its instant, and collects; flush() writes once per target.
--   due           -> lane list
--   within 2 s    -> soon
--   within 128 s  -> w:1s     opened at its start
--   within 8192 s -> w:64s    opened 64 s before its start
--   within 6 days -> w:4096s  opened 128 s before
--   later         -> w:3d     opened 4,096 s before
-- An opened bucket's entries are placed again and always move to a finer one.
local lanes, lane_names, soon, buckets, bucket_names, earliest = {}, {}, {}, {}, {}, math.huge

local function is_due_entry(e)
  return #e == 46 and byte(e, 15) <= 2 and byte(e, 16) == 1
end

local function to_lane(lane, core)
  local cores = lanes[lane]
  if not cores then
    cores = {}
    lanes[lane] = cores
    lane_names[#lane_names + 1] = lane
  end
  cores[#cores + 1] = core
end

local function to_bucket(e, at, d)
  local width, name, ahead
  if d < 128000 then
    width, name, ahead = 1000, '1s:', 0
  elseif d < 8192000 then
    width, name, ahead = 64000, '64s:', 64000
  elseif d < 518400000 then
    width, name, ahead = 4096000, '4096s:', 128000
  else
    width, name, ahead = 259200000, '3d:', 4096000
  end
  local start = at - at % width
  name = name .. string.format('%.0f', start / 1000)
  local bucket = buckets[name]
  if not bucket then
    bucket = { opens = start - ahead }
    buckets[name] = bucket
    bucket_names[#bucket_names + 1] = name
    earliest = math.min(earliest, bucket.opens)
  end
  bucket[#bucket + 1] = e
end

local function place(e)
  local at = number('>I6', e)
  local d = at - t
  if d <= 0 then
    to_lane(sub(e, 7, 15), sub(e, 16))
  elseif d < 2000 then
    soon[#soon + 1] = at
    soon[#soon + 1] = e
    earliest = math.min(earliest, at)
  else
    to_bucket(e, at, d)
  end
end

-- In slices: a call takes at most some thousand values.
local function push(key, values)
  local len
  for i = 1, #values, 1000 do
    len = call('RPUSH', key, unpack(values, i, math.min(i + 999, #values)))
  end
  return len
end

local function virtual_time()
  return string.format('%.17g', tonumber(call('GET', 'vt') or 0) or 0)
end

local function to_ring(lane)
  call('ZADD', 'ring', 'NX', virtual_time(), lane)
end

-- The instant of the first thing that waits, as far as soon and wheel know.
local function head()
  local s = call('ZRANGE', 'soon', 0, 0, 'WITHSCORES')
  local w = call('ZRANGE', 'wheel', 0, 0, 'WITHSCORES')
  return math.min(tonumber(s[2]) or math.huge, tonumber(w[2]) or math.huge)
end

-- quiet: whoever asked is told when to come again, so nobody is woken for it.
local function flush(quiet)
  local letters = ''
  for i = 1, #lane_names do
    local lane = lane_names[i]
    if push('q:' .. lane, lanes[lane]) == #lanes[lane] then
      to_ring(lane)
      letters = 'q'
    end
  end
  if not quiet and earliest < math.huge and earliest < head() then
    letters = letters .. 'd'
  end
  for i = 1, #soon, 1000 do
    call('ZADD', 'soon', unpack(soon, i, math.min(i + 999, #soon)))
  end
  for i = 1, #bucket_names do
    local bucket = buckets[bucket_names[i]]
    if push('w:' .. bucket_names[i], bucket) == #bucket then
      call('ZADD', 'wheel', 'NX', bucket.opens, bucket_names[i])
    end
  end
  wake(letters)
end
