local space = box.space[call.spaces[1]]
if call.f ~= 'read' then
    space:upsert({call.key, call.value}, {{'+', 2, call.value}})
    if call.f == 'add' then return end
end
local tuple = space:get(call.key)
return tuple == nil and 0 or tuple[2]
