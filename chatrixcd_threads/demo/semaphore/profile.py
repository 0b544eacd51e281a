"""What differs between the versions of Semaphore, as one table of switches.

Source of every value: API.md (sections 1, 4, 5, 6, 11, 12, 14) and NEWER.md (sections 1, 4 and 9). A newer profile differs
from 2.16 only where NEWER.md says so; what nobody has seen or read of it stays as in 2.16.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Profile:
    """The switches of one version on one store."""

    name: str
    version: str
    # --- objects and ids
    omit_empty: bool = False  # 2.13+: fields that are not set are left out
    descending_ids: bool = False  # Bolt: task ids count down, other ids count per project
    local_times: bool = False  # Bolt: REST times carry the server's own offset
    local_frames: bool = True  # 2.10: websocket times carry the server's own offset
    full_lists: bool = False  # template lists hold survey variables (Bolt and 2.16)
    sort_by_name: bool = True  # Bolt lists by id
    strict_sort: bool = False  # 2.16: an unknown sort column is refused
    count_tasks: bool = True  # Bolt: `tasks` of a template is always 0
    foreign_keys: bool = False  # SQL of 2.10 refuses ids of objects that do not exist
    use_checks: bool = True  # objects in use cannot be deleted
    build_in_use: int = 400  # status for deleting a build template that is in use
    post_returns_object: bool = False  # POST of keys, repositories, environments: 201 with the object
    inventory_holder: str = "holder_id"
    holders_in_list: bool = True  # inventories made for Terraform templates appear in the list
    key_empty: bool = True
    key_override: bool = True
    events_last: int = 200
    # --- answers
    unknown_template: int = 500
    admin_unknown_project: int = 400
    unknown_token_delete: int = 204
    revoked_tokens_live: bool = False  # Bolt: a deleted token goes on working
    token_prefix: bool = False  # 2.16: the list shows eight characters
    token_created: bool = True  # Bolt: the creation time of a token is the year 1
    users_readable: bool = False  # 2.16: everybody may GET /users/{id}
    alias_unknown: int = 204
    alias_ignores_matchers: bool = False
    ws_plain_get: int = 0  # 0 = the connection is dropped
    http_only_cookie: bool = False
    newer_routes: bool = False  # reject, raw_output, stages, ansible/*, stop_all_tasks, stats
    stop_all_works: bool = False  # 2.17+
    # --- tasks
    params: bool = False  # 2.13+: options live in `params`, permissions in `task_params`
    task_env_wins: bool = False  # 2.13+: the task's variables win over the group's
    schedule_id_shown: bool = False
    ticked_queue: bool = True  # one task per tick; else everything that can start does so at once
    tick: float = 5.0
    poll: float = 3.0  # pause of the Terraform runner between two looks at the answer
    init_pause: bool = False  # 2.16: that pause also after `init`
    minute: float = 60.0  # length of a minute of the scheduler
    starting_seconds: float = 0.001
    spawn_seconds: float = 0.002  # from `running` to the existence of the process
    killed_status: str = "error"
    kill_before_spawn: bool = False  # 2.16: a task killed without a process is not run
    fail_line: str = "Running app failed: {}"
    max_parallel: int = 10
    # --- output
    output_ids: bool = False  # 2.13+: records have `id` 0 and no `task`
    drop_bad_bytes: bool = False  # PostgreSQL: a record with bad bytes is not stored
    lose_last_lines: float = 0.0  # share of shell jobs that lose the lines of their last moment
    lose_seconds: float = 0.03
    slow_flush: float = 0.0  # seconds until a record is readable
    flush_rate: float = 0.0  # records a second the one writer stores; 0 = no limit
    log_buffer: int = 0  # 2.10: with so many records unwritten, a POST stops the queue for ever; 0 = never
    # --- websocket
    ping_seconds: float = 54.0
    pong_seconds: float = 60.0
    ws_buffer: int = 256
    close_frame: bool = True
    rng: Callable[[], random.Random] = random.Random
    # --- after 2.16; the section or row of NEWER.md
    hide_flags: bool = False  # 1.1: `hide_dry_run` and `hide_diff` of the template drop the option
    branch_flag: bool = False  # 1.9: `git_branch` and `commit_hash` need `allow_override_branch_in_task`
    runners: bool = True  # 1.15: False = no runner is online, every task ends `error`
    terraform_arguments: bool = False  # 2.1: an array of arguments reaches Terraform (the map per stage is not played)
    plain_values: bool = False  # 2.2: numbers and booleans reach shell and Terraform as JSON, not as %!s(...)
    free_variables: bool = False  # 2.2: `environment` is taken without a variable group
    post_secret: bool = True  # 2: the 201 carries `"secret":"{}"`
    template_names: bool = False  # 2.3: `template_name` works, and neither name nor id is a 400 with a sentence
    body_before_role: bool = False  # 2.3: a guest's bad body is a 400, not a 403
    task_pages: bool = False  # 3: `count`, `before` and X-Has-Next of `tasks/last`
    template_permissions: bool = False  # 3: `permissions` in templates
    group_lists: bool = False  # 3: `environment_ids`, several variable groups
    stop_all_silent: bool = False  # 4: waiting tasks are stopped without a frame or an event
    stop_ends_asking: bool = False  # 1.12: a graceful stop ends a task that waits for its confirmation
    term_seconds: float = (
        0.0  # 4: a graceful stop is SIGTERM to the group, and SIGKILL so much later; 0 = SIGKILL at once
    )
    stage_ids: bool = False  # 5: output records have `stage_id`
    token_names: bool = False  # 7: tokens have `name` and `expires_at`


_POSTGRES = Profile(
    name="2.10",
    version="2.10.33-d4a2713-1795458469",
    foreign_keys=True,
    drop_bad_bytes=True,
    flush_rate=2000.0,
    log_buffer=10_000,
)

_BOLT = replace(
    _POSTGRES,
    name="2.10-bolt",
    descending_ids=True,
    local_times=True,
    full_lists=True,
    sort_by_name=False,
    count_tasks=False,
    foreign_keys=False,
    drop_bad_bytes=False,
    build_in_use=409,
    key_empty=False,
    admin_unknown_project=404,
    unknown_token_delete=404,
    revoked_tokens_live=True,
    token_created=False,
    alias_unknown=200,
    events_last=201,
)

_NEWER = Profile(
    name="2.16",
    version="2.16.43-5507a11-1762372271",
    omit_empty=True,
    local_frames=False,
    full_lists=True,
    strict_sort=True,
    use_checks=False,
    post_returns_object=True,
    inventory_holder="template_id",
    holders_in_list=False,
    key_override=False,
    unknown_template=404,
    admin_unknown_project=404,
    token_prefix=True,
    users_readable=True,
    alias_unknown=200,
    alias_ignores_matchers=True,
    ws_plain_get=400,
    http_only_cookie=True,
    newer_routes=True,
    params=True,
    task_env_wins=True,
    schedule_id_shown=True,
    ticked_queue=False,
    init_pause=True,
    spawn_seconds=0.004,
    killed_status="stopped",
    kill_before_spawn=True,
    fail_line="Failed to run task: {}",
    output_ids=True,
    flush_rate=1200.0,
    ping_seconds=108.0,
    pong_seconds=120.0,
    close_frame=False,
)

_17 = replace(
    _NEWER,
    name="2.17",
    version="2.17.15-standin",
    stop_all_works=True,
    terraform_arguments=True,
    body_before_role=True,
    template_permissions=True,
    stage_ids=True,
    slow_flush=0.5,
)

_19 = replace(
    _17,
    name="2.19",
    version="2.19.12-standin",
    task_pages=True,
    group_lists=True,
    stop_all_silent=True,
    stop_ends_asking=True,
    token_names=True,
)

_20 = replace(
    _19,
    name="2.20",
    version="2.20.0-standin",
    hide_flags=True,
    branch_flag=True,
    plain_values=True,
    free_variables=True,
    post_secret=False,
    template_names=True,
    starting_seconds=1.0,
    term_seconds=15.0,
)

PROFILES = {p.name: p for p in (_POSTGRES, _BOLT, _NEWER, _17, _19, _20)}


def for_name(profile: "str | Profile", tick: float | None) -> Profile:
    """The profile of that name; `tick` shortens the queue's tick, the Terraform pause and the start alike."""
    chosen = PROFILES[profile] if isinstance(profile, str) else profile
    if tick is None:
        return chosen
    return replace(chosen, tick=tick, poll=min(chosen.poll, tick), starting_seconds=min(chosen.starting_seconds, tick))
