-- The consent gateway and HAProxy: the question before each page. /etc/haproxy/gateway.lua, which haproxy.cfg loads
-- (`gateway recipe haproxy`).

-- Every value of a header, as HAProxy counts them: from 0.
local function all(headers, name)
  local found = {}
  for at = 0, #(headers[name] or {}) do found[#found + 1] = (headers[name] or {})[at] end
  return found
end

-- A path as a server may read it. `bare`: some take a part's parameters (`..;x`) off before they go a folder up.
local function served_as(path, bare)
  local kept = {}
  for part in path:lower():gmatch("[^/\\]+") do
    local said = part:match("^[^;]*")
    local name = (bare and said or part):match("^%.%.?$") or said:gsub("[. ]+$", "")
    if name == ".." then table.remove(kept) elseif name ~= "" and name ~= "." then kept[#kept + 1] = name end
  end
  return "/" .. table.concat(kept, "/") .. "/"
end

-- Whether a path begins with one of [site] ad_paths, in the one form in which the gateway compares them.
local function is_ad(path)
  for _ = 1, 3 do path = path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end) end
  for _, served in ipairs({served_as(path, false), served_as(path, true)}) do
    for beginning in ("{{ad_beginnings}}"):gmatch("%S+") do
      if served:sub(1, #beginning) == beginning:lower() then return true end
    end
  end
  return false
end

local NOT_ASKED_WITH = {}  -- what belongs to the visitor's connection and to what he sends
for name in ("connection content-length expect keep-alive te trailer transfer-encoding upgrade"):gmatch("%S+") do
  NOT_ASKED_WITH[name] = true
end

core.register_action("gateway_ask", {"http-req"}, function(txn)
  txn:set_var("txn.refused", is_ad(txn.sf:path()))  -- without an answer they are refused, pages stay up
  local headers = {}
  for name in pairs(txn.http:req_get_headers()) do
    if not NOT_ASKED_WITH[name] then headers[name] = all(txn.http:req_get_headers(), name) end
  end
  headers["x-forwarded-method"] = {txn.f:method()}
  headers["x-forwarded-uri"] = {txn.f:pathq()}
  local answer = core.httpclient():head{url = "http://{{internal}}/authz/forward", headers = headers, timeout = 200}
  local told = answer and answer.headers or {}
  local function first(name) return told[name] and (told[name][0] or told[name][1]) end
  local status, consent = answer and answer.status, first("gateway-consent")
  if status == 403 and consent then txn:set_var("txn.refused", true) end  -- the gateway's own no, to one of ad_paths
  if status ~= 204 or not consent then return end
  txn:set_var("txn.refused", false)
  for _, name in ipairs({"gateway-consent", "gateway-browser", "gateway-place", "gateway-request"}) do
    txn.http:req_set_header(name, first(name) or "")
  end
  txn:set_var("txn.policy", first("content-security-policy") or "")
  if first("set-cookie") then txn:set_var("txn.cookie", first("set-cookie")) end
  if first("cache-control") then txn:set_var("txn.cache", first("cache-control")) end
end)

core.register_action("gateway_cookies_off", {"http-req"}, function(txn)
  local kept = {}
  for cookie in table.concat(all(txn.http:req_get_headers(), "cookie"), ";"):gmatch("[^;]+") do
    local name = cookie:match("^%s*([^=]*)=")
    if name ~= "__Host-gateway" and name ~= "__Host-gateway-said"
      and name ~= "__Host-gateway-proof" and name ~= "__Host-gateway-code" then
      kept[#kept + 1] = cookie:match("^%s*(.*)$")
    end
  end
  txn.http:req_del_header("cookie")
  if #kept > 0 then txn.http:req_add_header("cookie", table.concat(kept, "; ")) end
end)

-- What has a browser speak to others past every policy: reports of what was stopped, of failures, connections and
-- documents ahead (gateway help trackers).
core.register_action("gateway_silence", {"http-res"}, function(txn)
  local http, headers = txn.http, txn.http:res_get_headers()
  for name in ("{{speaking}}"):gmatch("%S+") do http:res_del_header(name) end
  http:res_set_header("nel", '{{nel}}')
  http:res_set_header("report-to", '{{report_to}}')
  http:res_set_header("x-dns-prefetch-control", "{{x_dns_prefetch_control}}")
  local link = table.concat(all(headers, "link"), ","):lower()
  for hint in ("{{hints}}"):gmatch("[^|]+") do
    if link:find(hint, 1, true) then http:res_del_header("link") end
  end
  http:res_del_header("content-security-policy")
  for _, own in ipairs(all(headers, "content-security-policy")) do
    local kept = ("," .. own):gsub("([;,])([^;,]*)", function(mark, said)
      local name = said:lower():match("^%s*(%S*)")
      if name:find("^report%-uri") or name:find("^report%-to") then return mark end
    end)
    http:res_add_header("content-security-policy", kept:sub(2))
  end
end)

-- A page that is one person's stays out of shared caches, also of those that obey another header first; `no-store`,
-- which is more, stays.
core.register_action("gateway_private", {"http-res"}, function(txn)
  local control = table.concat(all(txn.http:res_get_headers(), "cache-control"), ",")
  local said = "," .. control:lower():gsub('%b""', ""):gsub("%s", "") .. ","
  if not said:find(",no-store,", 1, true) then txn.http:res_set_header("cache-control", txn:get_var("txn.cache")) end
  for _, name in ipairs({"expires", "x-accel-expires", "surrogate-control", "cdn-cache-control", "cloudflare-cdn-cache-control"}) do
    txn.http:res_del_header(name)
  end
end)
