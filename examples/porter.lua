-- Shows Porter's messages in Wireshark and tshark: length, kind and text, also inside TLS if the keys are known.
-- Copy it into ~/.local/lib/wireshark/plugins, or: tshark -X lua_script:examples/porter.lua

local porter = Proto("porter", "Porter")

local kinds = { "TEXT", "ERROR", "ASK", "SECRET", "GET-TOKEN", "SET-TOKEN", "TOKEN" }
local length = ProtoField.uint32("porter.length", "Length", base.DEC, nil, nil, "bytes of the body")
local kind = ProtoField.string("porter.kind", "Kind")
local text = ProtoField.string("porter.text", "Text", base.UNICODE)
porter.fields = { length, kind, text }
porter.prefs.port = Pref.uint("Port", 9090, "The port of the server")

local HEADER = 4

-- Returns the kind at the beginning of a body, and where the text begins. The echo of other clients has no kind.
local function kind_of(body)
    for _, name in ipairs(kinds) do
        if body == name then
            return name, #name
        elseif body:sub(1, #name + 1) == name .. " " then
            return name, #name + 1
        end
    end
    return nil, 0
end

local function message(tvb, pinfo, tree)
    local size = tvb(0, HEADER):uint()
    local body = tvb:range(HEADER, tvb:len() - HEADER)
    local shown = tree:add(porter, tvb(), "Porter, " .. size .. " bytes")
    shown:add(length, tvb(0, HEADER))
    local name, start = kind_of(size > 0 and body:string() or "")
    if name then
        shown:add(kind, body(0, #name))
    end
    if size > start then
        shown:add(text, body(start), body(start):string(ENC_UTF_8))
    end
    pinfo.cols.protocol = "Porter"
    pinfo.cols.info:append(" " .. (name or size .. " bytes"))
    return tvb:len()
end

local function whole_length(tvb, _, offset)
    return HEADER + tvb(offset, HEADER):uint()
end

function porter.dissector(tvb, pinfo, tree)
    -- A TLS record begins with its type, 20 to 23, and the version 3. As a length that would be 320 MiB or more.
    local first = tvb(0, 1):uint()
    if first >= 20 and first <= 23 and tvb:len() > 1 and tvb(1, 1):uint() == 3 then
        return 0 -- not ours: Wireshark finds TLS by itself, and calls us for what is inside
    end
    pinfo.cols.info:clear()
    dissect_tcp_pdus(tvb, tree, HEADER, whole_length, message)
    return tvb:len()
end

local tables = { DissectorTable.get("tcp.port"), DissectorTable.get("tls.port") }
local known = porter.prefs.port

function porter.prefs_changed()
    for _, each in ipairs(tables) do
        each:remove(known, porter)
        each:add(porter.prefs.port, porter)
    end
    known = porter.prefs.port
end

porter.prefs_changed()
