-- Carries out `body` as one transaction. Replies {'ok', value}, {'no', code, text} of a body that found that it cannot be done,
-- {'refused', error, text} of an error before the commit, or {'commit', error, text} of an error of the commit.
local function outcome(stage, err)
    local known, code = pcall(function() return err.code end)
    return {stage, known and code or 0, tostring(err)}
end
if box.info.ro and not call.replicas then
    return {'refused', box.error.READONLY, 'this instance is read-only'}
end
box.begin()
local done, reply, no, text = pcall(body)
if not done then
    box.rollback()
    return outcome('refused', reply)
end
if no ~= nil then
    box.rollback()
    return {'no', no, text}
end
if call.confirm ~= nil and not box.info.ro then
    -- What is committed after the read is committed after all that it has seen.
    local written, err = pcall(function() box.space[call.confirm]:replace({call.process}) end)
    if not written then
        box.rollback()
        return outcome('refused', err)
    end
end
local committed, err = pcall(box.commit)
if not committed then
    return outcome('commit', err)
end
return {'ok', reply}
