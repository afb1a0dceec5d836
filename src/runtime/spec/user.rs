//! The user that a container runs as.
//!
//! Owns: what `runAsUser`, the image's `User` and its accounts amount to, and whether root is
//! forbidden. Must not know: capabilities, files of the host.
//! <https://kubernetes.io/docs/tasks/configure-pod-container/security-context/>

use k8s_openapi::api::core::v1::Pod;
use oci_spec::runtime::User;

use super::{Accounts, Inputs, Refusal};

/// The container runtime takes no larger ids.
const ID_MAX: u32 = i32::MAX.unsigned_abs();

/// The ids to run with.
pub(super) fn of(inputs: &Inputs<'_>) -> Result<User, Refusal> {
    let image = Spoken::of(inputs.image_config().and_then(|config| config.user().as_deref()));
    check_non_root(inputs, &image)?;
    let accounts = inputs.accounts;
    let (user, group) = (inputs.run_as_user(), inputs.run_as_group());
    let account = match user {
        Some(uid) => accounts.user_of(id(uid)?),
        None => match image.user {
            Id::Number(uid) => accounts.user_of(uid),
            Id::Name(name) => accounts.user_named(name).ok_or_else(|| {
                Refusal::create(format!("user {name:?} is not in the image's /etc/passwd"))
            })?,
        },
    };
    let gid = match (group, user, &image.group) {
        (Some(gid), _, _) => id(gid)?,
        // The image's group belongs to the image's user.
        (None, Some(_), _) | (None, None, None) => account.gid,
        (None, None, Some(Id::Number(gid))) => *gid,
        (None, None, Some(Id::Name(name))) => accounts.group_named(name).ok_or_else(|| {
            Refusal::create(format!("group {name:?} is not in the image's /etc/group"))
        })?,
    };

    let mut gids = vec![gid];
    let pod = inputs.pod_security();
    let strict = pod.and_then(|s| s.supplemental_groups_policy.as_deref()) == Some("Strict");
    if !strict {
        gids.extend(account.name.map(|name| accounts.groups_with(name)).unwrap_or_default());
    }
    let asked = pod.and_then(|s| s.supplemental_groups.as_deref()).unwrap_or_default();
    for asked in pod.and_then(|s| s.fs_group).iter().chain(asked) {
        gids.push(id(*asked)?);
    }
    let mut user = User::default();
    user.set_uid(account.uid).set_gid(gid).set_additional_gids(Some(unique(gids)));
    Ok(user)
}

/// `runAsNonRoot`, in the words of a kubelet.
fn check_non_root(inputs: &Inputs<'_>, image: &Spoken<'_>) -> Result<(), Refusal> {
    if !inputs.forbids_root() {
        return Ok(());
    }
    let problem = match (inputs.run_as_user(), &image.user) {
        (Some(0), _) => "container's runAsUser breaks non-root policy".to_owned(),
        (Some(_), _) => return Ok(()),
        (None, Id::Number(0)) => "container has runAsNonRoot and image will run as root".to_owned(),
        (None, Id::Number(_)) => return Ok(()),
        (None, Id::Name(name)) => format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user \
             is non-root"
        ),
    };
    let (pod, container) = (name(inputs.pod), &inputs.container.name);
    Err(Refusal::config(format!("{problem} (pod: {pod:?}, container: {container})")))
}

/// What the container says is above what its pod says.
impl Inputs<'_> {
    fn run_as_user(&self) -> Option<i64> {
        let own = self.security().and_then(|security| security.run_as_user);
        own.or_else(|| self.pod_security()?.run_as_user)
    }

    fn run_as_group(&self) -> Option<i64> {
        let own = self.security().and_then(|security| security.run_as_group);
        own.or_else(|| self.pod_security()?.run_as_group)
    }

    fn forbids_root(&self) -> bool {
        let own = self.security().and_then(|security| security.run_as_non_root);
        own.or_else(|| self.pod_security()?.run_as_non_root) == Some(true)
    }
}

/// `name_namespace(uid)`.
fn name(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid))
}

/// The image's `User`: `user[:group]`, each a name or a number; nothing means root.
struct Spoken<'a> {
    user: Id<'a>,
    group: Option<Id<'a>>,
}

enum Id<'a> {
    Number(u32),
    Name(&'a str),
}

impl<'a> Spoken<'a> {
    fn of(text: Option<&'a str>) -> Self {
        let text = text.unwrap_or_default();
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let user = if user.is_empty() { Id::Number(0) } else { Id::of(user) };
        Self { user, group: Some(group).filter(|group| !group.is_empty()).map(Id::of) }
    }
}

impl<'a> Id<'a> {
    /// What is no number in range may still be a name.
    fn of(text: &'a str) -> Self {
        match text.parse() {
            Ok(number) if number <= ID_MAX => Self::Number(number),
            Ok(_) | Err(_) => Self::Name(text),
        }
    }
}

fn id(asked: i64) -> Result<u32, Refusal> {
    u32::try_from(asked).ok().filter(|id| *id <= ID_MAX).ok_or_else(|| {
        Refusal::create(format!("uids and gids must be in range 0-{ID_MAX}, not {asked}"))
    })
}

fn unique(gids: Vec<u32>) -> Vec<u32> {
    let mut seen = Vec::new();
    for gid in gids {
        if !seen.contains(&gid) {
            seen.push(gid);
        }
    }
    seen
}

/// A line of `/etc/passwd`.
struct Account<'a> {
    /// None for an id that has no line.
    name: Option<&'a str>,
    uid: u32,
    gid: u32,
}

impl Accounts {
    /// `name:password:uid:gid:...`; a line of another shape is nobody's.
    fn users(&self) -> impl Iterator<Item = Account<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Account { name: Some(name), uid, gid })
        })
    }

    /// `name:password:gid:member,member`.
    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let gid = fields.nth(1)?.parse().ok()?;
            Some((name, gid, fields.next().unwrap_or_default()))
        })
    }

    /// Who has this id; an unlisted id is in root's group.
    fn user_of(&self, uid: u32) -> Account<'_> {
        let unlisted = Account { name: None, uid, gid: 0 };
        self.users().find(|user| user.uid == uid).unwrap_or(unlisted)
    }

    fn user_named(&self, name: &str) -> Option<Account<'_>> {
        self.users().find(|user| user.name == Some(name))
    }

    fn group_named(&self, name: &str) -> Option<u32> {
        self.groups().find(|(group, _, _)| *group == name).map(|(_, gid, _)| gid)
    }

    /// The groups that list this user as a member.
    fn groups_with(&self, user: &str) -> Vec<u32> {
        let lists = |members: &str| members.split(',').any(|member| member.trim() == user);
        self.groups().filter(|(_, _, members)| lists(members)).map(|(_, gid, _)| gid).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::Case;
    use crate::pod::RefusedReason;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment\n\nbroken:x\n\
                          app:x:1000:2000::/home/app:/bin/sh\n";
    const GROUP: &str =
        "root:x:0:\nwheel:x:10:root,app\napp:x:2000:\naudio:x:29:other,app\nempty:x:77\n";

    fn case(user: &str) -> Case {
        let image = json!({"Cmd": ["x"], "User": user});
        Case::new().image(image).passwd(PASSWD).group(GROUP)
    }

    /// uid, gid, additional gids.
    fn ids(case: &Case) -> (u32, u32, Vec<u32>) {
        let process = case.process();
        let user = process.user();
        (user.uid(), user.gid(), user.additional_gids().clone().unwrap())
    }

    fn refused(case: &Case) -> (RefusedReason, String) {
        let refusal = case.build().unwrap_err();
        (refusal.reason, refusal.message)
    }

    #[test]
    fn the_images_user_is_taken_in_all_its_forms() {
        for (user, expected) in [
            ("", (0, 0, vec![0, 10])),
            ("root", (0, 0, vec![0, 10])),
            ("app", (1000, 2000, vec![2000, 10, 29])),
            ("1000", (1000, 2000, vec![2000, 10, 29])),
            ("1234", (1234, 0, vec![0])),
            ("app:audio", (1000, 29, vec![29, 10])),
            ("app:5", (1000, 5, vec![5, 10, 29])),
            ("1234:app", (1234, 2000, vec![2000])),
            ("1234:5678", (1234, 5678, vec![5678])),
            ("app:", (1000, 2000, vec![2000, 10, 29])),
        ] {
            assert_eq!(ids(&case(user)), expected, "{user}");
        }
    }

    #[test]
    fn an_image_without_accounts_runs_as_root() {
        assert_eq!(ids(&Case::new()), (0, 0, vec![0]));
    }

    #[test]
    fn the_containers_ids_are_above_the_pods_and_both_above_the_images() {
        let pod = |security: Value| case("app:audio").pod(json!({"securityContext": security}));
        assert_eq!(ids(&pod(json!({"runAsUser": 7}))), (7, 0, vec![0]));
        assert_eq!(ids(&pod(json!({"runAsUser": 1000}))), (1000, 2000, vec![2000, 10, 29]));
        assert_eq!(ids(&pod(json!({"runAsGroup": 9}))), (1000, 9, vec![9, 10, 29]));
        let both = pod(json!({"runAsUser": 7, "runAsGroup": 8}));
        assert_eq!(ids(&both.security(json!({"runAsUser": 3}))), (3, 8, vec![8]));
    }

    #[test]
    fn the_pods_groups_are_added_once_each() {
        let security = json!({"fsGroup": 500, "supplementalGroups": [10, 600, 500]});
        let case = case("app").pod(json!({"securityContext": security}));
        assert_eq!(ids(&case), (1000, 2000, vec![2000, 10, 29, 500, 600]));
    }

    #[test]
    fn an_unknown_name_is_refused() {
        for (user, message) in [
            ("nobody", "user \"nobody\" is not in the image's /etc/passwd"),
            ("broken", "user \"broken\" is not in the image's /etc/passwd"),
            ("4294967296", "user \"4294967296\" is not in the image's /etc/passwd"),
            ("-1", "user \"-1\" is not in the image's /etc/passwd"),
            ("app:staff", "group \"staff\" is not in the image's /etc/group"),
        ] {
            let expected = (RefusedReason::CreateContainerError, message.to_owned());
            assert_eq!(refused(&case(user)), expected);
        }
    }

    #[test]
    fn an_id_out_of_range_is_refused() {
        for security in [
            json!({"runAsUser": 2_147_483_648_i64}),
            json!({"runAsGroup": -1}),
            json!({"fsGroup": 1_i64 << 40}),
            json!({"supplementalGroups": [-5]}),
        ] {
            let (reason, message) = refused(&case("").pod(json!({"securityContext": security})));
            assert_eq!(reason, RefusedReason::CreateContainerError);
            assert!(
                message.starts_with("uids and gids must be in range 0-2147483647"),
                "{message}"
            );
        }
    }

    #[test]
    fn case_119_an_image_that_runs_as_root_is_refused_where_root_is_forbidden() {
        let case = case("").security(json!({"runAsNonRoot": true}));
        let message = "container has runAsNonRoot and image will run as root \
                       (pod: \"p_default(u)\", container: main)";
        let expected = (RefusedReason::CreateContainerConfigError, message.to_owned());
        assert_eq!(refused(&case), expected);
    }

    #[test]
    fn where_root_is_forbidden_the_user_must_be_known_by_a_number_that_is_not_roots() {
        let forbidden = |user| case(user).pod(json!({"securityContext": {"runAsNonRoot": true}}));
        assert_eq!(ids(&forbidden("1000")).0, 1000);
        assert_eq!(ids(&forbidden("root").security(json!({"runAsUser": 5}))).0, 5);
        assert_eq!(ids(&forbidden("").security(json!({"runAsNonRoot": false}))).0, 0);
        for (case, words) in [
            (forbidden("0:1000"), "image will run as root"),
            (forbidden("app:audio"), "image has non-numeric user (app), cannot verify user"),
            (forbidden("1000").security(json!({"runAsUser": 0})), "breaks non-root policy"),
        ] {
            let (reason, message) = refused(&case);
            assert_eq!(reason, RefusedReason::CreateContainerConfigError);
            assert!(message.contains(words), "{message}");
        }
    }
}
