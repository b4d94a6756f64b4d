-- Inserts into one of two spaces if neither has a row of the key.
for _, name in ipairs(call.spaces) do
    if #box.space[name]:select({call.key}, {limit = 1}) > 0 then
        return nil, 'exists', 'a row of the key exists in ' .. name
    end
end
for place, name in ipairs(call.spaces) do
    if call.value[place] ~= nil then box.space[name]:insert({call.key, call.value[place]}) end
end
