-- write_log(rows, rows_max, rows_ms): one entry of the send log for all of them; the oldest go, by number and by age.
local function write_log(rows, rows_max, rows_ms)
  if #rows == 0 then
    return
  end
  call('XADD', 'log', '*', 'n', #rows, 'r', table.concat(rows))
  local total = tonumber(call('INCRBY', 'logrows', #rows))
  local oldest = call('XRANGE', 'log', '-', '+', 'COUNT', 8)
  for i = 1, #oldest do
    local id, fields = oldest[i][1], oldest[i][2]
    local ms = tonumber(string.match(id, '^%d+'))
    if total <= rows_max and ms > t - rows_ms then
      break
    end
    call('XDEL', 'log', id)
    total = total - (tonumber(fields[2]) or 0)
  end
  call('SET', 'logrows', string.format('%.0f', math.max(0, total)))
end

-- The rows of sends that ended in being planned.
local function read_rows()
  local rows = {}
  for i = 1, num() do
    rows[i] = arg()
  end
  rows.max, rows.ms = num(), num()
  return rows
end

local function write_rows(rows)
  write_log(rows, rows.max, rows.ms)
end
