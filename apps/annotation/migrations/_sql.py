"""What the database does itself: counting tasks, and claiming and saying as functions, planned once per connection."""

COUNT = """
CREATE FUNCTION annotation_count_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO annotation_tally (project_id, status, n)
        SELECT project_id, status, count(*) FROM now_rows GROUP BY 1, 2;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO annotation_tally (project_id, status, n)
        SELECT project_id, status, -count(*) FROM was_rows GROUP BY 1, 2;
    ELSE
        INSERT INTO annotation_tally (project_id, status, n)
        SELECT project_id, status, sum(n) FROM (
            SELECT project_id, status, 1 AS n FROM now_rows
            UNION ALL SELECT project_id, status, -1 FROM was_rows
        ) AS change GROUP BY 1, 2 HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER annotation_task_inserted AFTER INSERT ON annotation_task
    REFERENCING NEW TABLE AS now_rows FOR EACH STATEMENT EXECUTE FUNCTION annotation_count_tasks();
CREATE TRIGGER annotation_task_deleted AFTER DELETE ON annotation_task
    REFERENCING OLD TABLE AS was_rows FOR EACH STATEMENT EXECUTE FUNCTION annotation_count_tasks();
CREATE TRIGGER annotation_task_updated AFTER UPDATE ON annotation_task
    REFERENCING OLD TABLE AS was_rows NEW TABLE AS now_rows
    FOR EACH STATEMENT EXECUTE FUNCTION annotation_count_tasks();
INSERT INTO annotation_tally (project_id, status, n)
    SELECT project_id, status, count(*) FROM annotation_task GROUP BY 1, 2;
"""
COUNT_NO_MORE = """
DROP TRIGGER annotation_task_inserted ON annotation_task;
DROP TRIGGER annotation_task_deleted ON annotation_task;
DROP TRIGGER annotation_task_updated ON annotation_task;
DROP FUNCTION annotation_count_tasks();
"""


_FREE = """
        SELECT s.id INTO found FROM annotation_slot s
        WHERE s.project_id = project AND s.status <> 'done' AND (s.status = 'open' OR s.leased_until < now())
          AND NOT EXISTS (SELECT 1 FROM annotation_slot o
                          WHERE o.task_id = s.task_id AND o.user_id = who AND o.id <> s.id)
          AND NOT EXISTS (SELECT 1 FROM annotation_annotation a WHERE a.task_id = s.task_id AND a.user_id = who)
          {beyond}
        ORDER BY s.priority DESC, s.id FOR UPDATE OF s SKIP LOCKED LIMIT 1;
"""

CLAIM = """
CREATE FUNCTION annotation_claim(project bigint, who bigint, lease interval) RETURNS bigint LANGUAGE plpgsql AS $$
-- The place this person holds already, else the next free one of a task they have not seen; NULL when none is.
-- Whoever has done much would pass over all of it, so the search begins behind the last place taken: first what is
-- more urgent, then what follows; what was given back before comes last.
DECLARE found bigint; last_priority smallint; last_id bigint;
BEGIN
    SELECT s.id INTO found FROM annotation_slot s
    WHERE s.project_id = project AND s.user_id = who AND s.status = 'leased' AND s.leased_until > now()
    ORDER BY s.leased_until DESC LIMIT 1;
    IF found IS NOT NULL THEN RETURN found; END IF;
    SELECT s.priority, s.id INTO last_priority, last_id FROM annotation_slot s
    WHERE s.project_id = project AND s.user_id = who ORDER BY s.id DESC LIMIT 1;
    IF last_id IS NOT NULL THEN
        {urgent}
        IF found IS NULL THEN
            {behind}
        END IF;
    END IF;
    IF found IS NULL THEN
        {anywhere}
    END IF;
    UPDATE annotation_slot s SET status = 'leased', user_id = who, leased_until = now() + lease,
        token = s.token + 1 WHERE s.id = found;
    RETURN found;
END $$;
""".format(
    urgent=_FREE.format(beyond="AND s.priority > last_priority"),
    behind=_FREE.format(beyond="AND s.priority = last_priority AND s.id > last_id"),
    anywhere=_FREE.format(beyond=""),
)

SAY = """
CREATE FUNCTION annotation_say(
    place bigint, fence integer, who bigint, task bigint, said varchar, said_value text, skip boolean, flag boolean, remark text,
    took double precision
) RETURNS TABLE (id bigint, extra boolean, at timestamptz, votes text) LANGUAGE plpgsql AS $$
-- Keep an annotation and mark its place done. No row: this person has said it before, so roll back. A token that does not fit any
-- more makes it an extra vote and leaves the place to whoever has it now. `votes` are the values of all people, once
-- every place of a task that is still open is done.
DECLARE status_now varchar; kept boolean; made bigint; made_at timestamptz;
BEGIN
    SELECT t.status INTO status_now FROM annotation_task t WHERE t.id = task FOR UPDATE;
    UPDATE annotation_slot s SET status = 'done', leased_until = NULL
    WHERE s.id = place AND s.user_id = who AND s.token = fence AND s.status = 'leased';
    kept := FOUND;
    INSERT INTO annotation_annotation AS a
        (task_id, user_id, label, value, skipped, flagged, comment, seconds, extra, at)
    VALUES (task, who, said, said_value::jsonb, skip, flag, remark, took, NOT kept, now())
    ON CONFLICT (task_id, user_id) DO NOTHING RETURNING a.id, a.at INTO made, made_at;
    IF made IS NULL THEN RETURN; END IF;
    IF status_now = 'open'
       AND NOT EXISTS (SELECT 1 FROM annotation_slot s WHERE s.task_id = task AND s.status <> 'done') THEN
        RETURN QUERY SELECT made, NOT kept, made_at, coalesce((
            SELECT json_agg(coalesce(a.value, to_jsonb(a.label)) ORDER BY a.id)
            FROM annotation_annotation a WHERE a.task_id = task AND NOT a.skipped), '[]'::json)::text;
    ELSE
        RETURN QUERY SELECT made, NOT kept, made_at, NULL::text;
    END IF;
END $$;
"""
CLAIM_NO_MORE = """
DROP FUNCTION annotation_claim(bigint, bigint, interval);
DROP FUNCTION annotation_say(bigint, integer, bigint, bigint, varchar, text, boolean, boolean, text, double precision);
"""


_LAST = "WHERE s.project_id = project AND s.user_id = who ORDER BY s.id DESC LIMIT 1;"
# The search goes on behind the last place taken; a golden one, made this moment, would be behind all of them.
CLAIM_BESIDE_GOLDEN = CLAIM.replace(_LAST, _LAST.replace("ORDER BY", "AND s.number < 1000 ORDER BY"))

GOLDEN = """
CREATE FUNCTION annotation_golden(in_project bigint, who bigint, lease interval) RETURNS bigint LANGUAGE plpgsql AS $$
-- By chance, so that nobody can count to the next one. NULL mostly: then the ordinary claim follows.
DECLARE every integer; chosen bigint; made bigint;
BEGIN
    SELECT p.golden_every INTO every FROM annotation_project p WHERE p.id = in_project;
    IF every IS NULL OR random() * every >= 1 THEN RETURN NULL; END IF;
    IF EXISTS (SELECT 1 FROM annotation_slot s WHERE s.project_id = in_project AND s.user_id = who
               AND s.status = 'leased' AND s.leased_until > now()) THEN RETURN NULL; END IF;
    SELECT g.task_id INTO chosen FROM annotation_golden g
    WHERE g.project_id = in_project AND g.retired_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM annotation_annotation a WHERE a.task_id = g.task_id AND a.user_id = who)
      AND NOT EXISTS (SELECT 1 FROM annotation_slot s WHERE s.task_id = g.task_id AND s.user_id = who)
    ORDER BY random() LIMIT 1;
    IF chosen IS NULL THEN RETURN NULL; END IF;
    INSERT INTO annotation_slot (task_id, project_id, number, priority, status, user_id, leased_until, token)
    SELECT chosen, in_project, greatest(999, max(s.number)) + 1, 0, 'leased', who, now() + lease, 1
    FROM annotation_slot s WHERE s.task_id = chosen RETURNING id INTO made;
    RETURN made;
END $$;
"""

# A place held ahead is the one that an open page shows next. It is the person's own until a claim takes it up, and
# it yields to whoever would go empty-handed otherwise.
_SEARCH = """
    SELECT s.priority, s.id INTO last_priority, last_id FROM annotation_slot s
    WHERE s.project_id = project AND s.user_id = who AND s.number < 1000 ORDER BY s.id DESC LIMIT 1;
    IF last_id IS NOT NULL THEN
        {urgent}
        IF found IS NULL THEN
            {behind}
        END IF;
    END IF;
    IF found IS NULL THEN
        {anywhere}
    END IF;
""".format(
    urgent=_FREE.format(beyond="AND s.priority > last_priority"),
    behind=_FREE.format(beyond="AND s.priority = last_priority AND s.id > last_id"),
    anywhere=_FREE.format(beyond=""),
)
_YIELDING = _FREE.replace(
    "(s.status = 'open' OR s.leased_until < now())", "s.status = 'leased' AND s.ahead AND s.user_id <> who"
).format(beyond="AND s.number < 1000")
CLAIM_HELD_AHEAD = f"""
CREATE FUNCTION annotation_claim(project bigint, who bigint, lease interval) RETURNS bigint LANGUAGE plpgsql AS $$
-- The place this person holds, else the one they hold ahead, else the next free one of a task they have not seen, else
-- one that somebody holds ahead; NULL when none is. The search begins behind the last place taken (see before).
DECLARE found bigint; last_priority smallint; last_id bigint; was_ahead boolean;
BEGIN
    SELECT s.id, s.ahead INTO found, was_ahead FROM annotation_slot s
    WHERE s.project_id = project AND s.user_id = who AND s.status = 'leased' AND s.leased_until > now()
    ORDER BY s.ahead, s.leased_until DESC LIMIT 1;
    IF was_ahead THEN
        UPDATE annotation_slot s SET ahead = false, leased_until = now() + lease
        WHERE s.id = found AND s.user_id = who AND s.status = 'leased' RETURNING s.id INTO found;
    END IF;
    IF found IS NOT NULL THEN RETURN found; END IF;
    {_SEARCH}
    IF found IS NULL THEN
        {_YIELDING}
    END IF;
    UPDATE annotation_slot s SET status = 'leased', user_id = who, leased_until = now() + lease, ahead = false,
        token = s.token + 1 WHERE s.id = found;
    RETURN found;
END $$;
"""
AHEAD = f"""
CREATE FUNCTION annotation_ahead(project bigint, who bigint, lease interval) RETURNS bigint LANGUAGE plpgsql AS $$
-- The place this person holds ahead of the one they are at, else a free one taken for that; NULL when they are at none.
DECLARE found bigint; last_priority smallint; last_id bigint; at_one boolean;
BEGIN
    SELECT min(s.id) FILTER (WHERE s.ahead), bool_or(NOT s.ahead) INTO found, at_one FROM annotation_slot s
    WHERE s.project_id = project AND s.user_id = who AND s.status = 'leased' AND s.leased_until > now();
    IF at_one IS NOT TRUE THEN RETURN NULL; END IF;
    IF found IS NULL THEN found := annotation_golden(project, who, lease, true); END IF;
    IF found IS NOT NULL THEN RETURN found; END IF;
    {_SEARCH}
    UPDATE annotation_slot s SET status = 'leased', user_id = who, leased_until = now() + lease, ahead = true,
        token = s.token + 1 WHERE s.id = found;
    RETURN found;
END $$;
"""
AHEAD_NO_MORE = "DROP FUNCTION annotation_ahead(bigint, bigint, interval);"
GOLDEN_NO_MORE = "DROP FUNCTION annotation_golden(bigint, bigint, interval);"
GOLDEN_AHEAD_NO_MORE = "DROP FUNCTION annotation_golden(bigint, bigint, interval, boolean);"
GOLDEN_AHEAD = (
    GOLDEN.replace("lease interval)", "lease interval, in_ahead boolean)", 1)
    .replace("IF EXISTS (SELECT 1 FROM annotation_slot s WHERE", "IF NOT in_ahead AND EXISTS (SELECT 1 FROM annotation_slot s WHERE", 1)
    .replace("leased_until, token)", "leased_until, token, ahead)", 1)
    .replace("now() + lease, 1\n", "now() + lease, 1, in_ahead\n", 1)
)

# Every condition of live_token() and may_label() stands here too; test_quick.py holds them against each other.
_WHO = """
    WHERE k.digest = in_key AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
      AND k.last_used_at > now() - interval '1 minute' AND u.is_active AND p.status = 'open'
      AND p.per_person IS NULL
      AND NOT EXISTS (SELECT 1 FROM annotation_project_assignees a WHERE a.project_id = p.id)
      AND EXISTS (SELECT 1 FROM accounts_membership m
                  WHERE m.user_id = u.id AND m.team_id = p.team_id AND m.role = ANY(in_roles));
"""
CLAIM_BY = f"""
CREATE FUNCTION annotation_claim_by(in_key text, in_project bigint, in_roles text[], lease interval) RETURNS TABLE (
    blind boolean, slot bigint, token integer, leased_until timestamptz, task bigint, request_id text,
    called_at timestamptz, version varchar, inputs text, predicted varchar, confidence double precision,
    suggested varchar, proposed text, reason varchar, told text, rule_kind varchar, probability double precision,
    priority smallint, weight integer, created_at timestamptz
) LANGUAGE plpgsql AS $$
-- The place that the holder of a token takes, with its task. No row: they may not, or nothing is left.
DECLARE who bigint; is_blind boolean; found bigint;
BEGIN
    SELECT u.id, p.blind INTO who, is_blind
    FROM accounts_personaltoken k JOIN accounts_user u ON u.id = k.user_id JOIN annotation_project p ON p.id = in_project
    {_WHO}
    IF who IS NULL THEN RETURN; END IF;
    -- A claim that a crash forgets is a lease that ran out early: its label counts as one more vote.
    PERFORM set_config('synchronous_commit', 'off', true);
    found := coalesce(annotation_golden(in_project, who, lease, false), annotation_claim(in_project, who, lease));
    RETURN QUERY
    SELECT is_blind, s.id, s.token, s.leased_until, t.id, t.request_id::text, t.called_at, t.version, t.inputs::text,
        t.predicted, t.confidence, t.suggested, t.proposed::text, t.reason, t.told::text, t.rule_kind, t.probability,
        t.priority, t.weight, t.created_at
    FROM annotation_slot s JOIN annotation_task t ON t.id = s.task_id WHERE s.id = found;
END $$;
"""
SAY_BY = f"""
CREATE FUNCTION annotation_say_by(in_key text, place bigint, in_roles text[]) RETURNS TABLE (
    who bigint, username varchar, task bigint, inputs text, project bigint, kind varchar, labels text, options text
) LANGUAGE plpgsql AS $$
-- Who holds a token, and what their answer in a place is checked against. No row: they may not say anything there.
BEGIN
    RETURN QUERY
    SELECT u.id, u.username, t.id, t.inputs::text, p.id, p.kind, p.labels::text, p.options::text
    FROM accounts_personaltoken k JOIN accounts_user u ON u.id = k.user_id
    JOIN annotation_slot s ON s.id = place JOIN annotation_task t ON t.id = s.task_id
    JOIN annotation_project p ON p.id = t.project_id
    {_WHO}
END $$;
"""
BY_NO_MORE = """
DROP FUNCTION annotation_claim_by(text, bigint, text[], interval);
DROP FUNCTION annotation_say_by(text, bigint, text[]);
"""


def again(sql: str) -> str:
    """The same for a function that is there already."""
    return sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
