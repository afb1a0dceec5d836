//! Pulls on the real thing: a private containerd, Debian's registry, and a registry that misbehaves.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "registry/artifact.rs"]
mod artifact;
#[path = "registry/host.rs"]
mod host;
#[path = "registry/upstream.rs"]
mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln::pod::{ImageReason, PullPolicy};
use kiln::runtime::image::{Images, Logins};
use kiln::runtime::{PullError, Pulls};
use serde_json::json;

use artifact::{Artifact, Format, Packing, image, incompressible};
use host::{Host, certificates, until};
use upstream::{Ask, Reply, Upstream, serve_artifact};

fn two_layers() -> Artifact {
    image(Format::Oci, &[Packing::Gzip, Packing::Plain])
}

/// The message of an image that cannot be had.
async fn refused(images: &Images, reference: &str) -> String {
    match images.pull(reference, PullPolicy::Always).await {
        Err(PullError::Image(error)) => {
            assert_eq!(error.reason, ImageReason::ErrImagePull);
            error.message
        }
        other => panic!("{other:?}"),
    }
}

/// Some bytes of a layer are in containerd.
fn is_going(pulls: &Pulls) -> bool {
    pulls.values().any(|pull| pull.layers.iter().any(|layer| layer.offset > 0))
}

fn blobs(asks: &[Ask]) -> Vec<&Ask> {
    asks.iter().filter(|ask| ask.is_blob() && ask.method == "GET").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_by_tag_and_runs_and_outlives_the_garbage_collector() {
    let mut host = Host::new();
    let registry = host.start_registry("");
    let artifact = image(Format::Oci, &[Packing::Gzip, Packing::Zstd, Packing::Plain]);
    artifact.push(registry, "team/app").await;
    let reference = format!("{registry}/team/app:1");
    let images = host.images();
    assert_eq!(images.local(&reference).await.unwrap(), None);

    let pulled = images.pull(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(pulled.id, format!("{registry}/team/app@{}", artifact.digest));
    let size: usize = artifact.blobs.values().map(Vec::len).sum();
    assert!(pulled.transfer.unwrap().bytes >= size as u64);
    assert!(images.pulls().borrow().is_empty());

    let leases = host.words(&["leases", "list", "-q"]);
    assert!(leases.is_empty(), "{leases:?}");
    host.collect_garbage();
    let kept = host.words(&["content", "list", "-q"]);
    assert!(artifact.digests().iter().all(|digest| kept.contains(digest)), "{kept:?}");
    let local = images.local(&reference).await.unwrap().unwrap();
    assert_eq!((local.name.as_str(), local.id), (reference.as_str(), pulled.id));
    assert!(host.words(&["snapshots", "list"]).contains(&local.chain_id));
    let env = local.config.config().as_ref().unwrap().env().clone();
    assert_eq!(env, Some(vec!["PATH=/bin".to_owned()]));

    let run = ["run", "--rm", "--snapshotter", "overlayfs", &reference, "c", "/bin/cat", "/layer2"];
    assert_eq!(host.words(&run), ["layer", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_by_digest_and_in_dockers_format() {
    let mut host = Host::new();
    let registry = host.start_registry("");
    let artifact = image(Format::Docker, &[Packing::Gzip, Packing::Gzip]);
    artifact.push(registry, "app").await;
    let images = host.images();
    for reference in [
        format!("{registry}/app@{}", artifact.digest),
        format!("{registry}/app:other@{}", artifact.digest),
    ] {
        let pulled = images.pull(&reference, PullPolicy::IfNotPresent).await.unwrap();
        assert_eq!(pulled.id, format!("{registry}/app@{}", artifact.digest));
        assert_eq!(images.local(&reference).await.unwrap().unwrap().name, reference);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_for_this_host_is_chosen_from_an_index() {
    let host = Host::new();
    let own = two_layers();
    let other = artifact::for_architecture("s390x");
    let here = json!({ "os": "linux", "architecture": artifact::named(std::env::consts::ARCH) });
    let index = Artifact::index(&[
        (json!({ "os": "unknown", "architecture": "unknown" }), &other),
        (json!({ "os": "linux", "architecture": "s390x" }), &other),
        (here, &own),
    ]);
    let upstream = Upstream::of(index.clone());
    let images = host.images();
    let pulled = images.pull(&upstream.reference(), PullPolicy::Always).await.unwrap();
    assert_eq!(pulled.id, format!("{}/team/app@{}", upstream.address, index.digest));
    assert!(images.local(&upstream.reference()).await.unwrap().is_some());
    assert_eq!(blobs(&upstream.seen()).len(), own.blobs.len());
    host.collect_garbage();
    let kept = host.words(&["content", "list", "-q"]);
    assert!(own.digests().iter().chain([&index.digest]).all(|digest| kept.contains(digest)));

    let foreign = Artifact::index(&[(json!({ "os": "linux", "architecture": "s390x" }), &other)]);
    for (artifact, why) in
        [(foreign, "there are images for: linux/s390x"), (other, "it is for linux/s390x")]
    {
        let upstream = Upstream::of(artifact);
        let message = refused(&images, &upstream.reference()).await;
        assert!(message.contains(why), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_decides_who_is_asked() {
    let host = Host::new();
    let upstream = Upstream::of(two_layers());
    let reference = upstream.reference();
    let images = host.images();
    let Err(PullError::Image(error)) = images.pull(&reference, PullPolicy::Never).await else {
        panic!("it is not there");
    };
    assert_eq!(error.reason, ImageReason::ErrImageNeverPull);
    let expected =
        format!("Container image \"{reference}\" is not present with pull policy of Never");
    assert_eq!(error.message, expected);
    assert!(upstream.seen().is_empty());

    let first = images.pull(&reference, PullPolicy::IfNotPresent).await.unwrap();
    upstream.forget();
    for policy in [PullPolicy::IfNotPresent, PullPolicy::Never] {
        let again = images.pull(&reference, policy).await.unwrap();
        assert_eq!((&again.id, again.transfer), (&first.id, None));
    }
    assert!(upstream.seen().is_empty());

    // Asked for, but not fetched.
    let again = images.pull(&reference, PullPolicy::Always).await.unwrap();
    assert_eq!((&again.id, again.transfer.unwrap().bytes), (&first.id, 0));
    let methods: Vec<_> = upstream.seen().into_iter().map(|ask| ask.method).collect();
    assert_eq!(methods, ["HEAD"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_is_followed_and_only_what_is_missing_is_fetched() {
    let host = Host::new();
    let old = image(Format::Oci, &[Packing::Gzip]);
    let new = two_layers();
    let artifacts = [old.clone(), new.clone()];
    let upstream = Upstream::new(move |ask, seen| {
        let moved = seen.iter().any(|ask| ask.path.ends_with("/move"));
        serve_artifact(&artifacts[usize::from(moved)], ask)
    });
    let images = host.images();
    let reference = upstream.reference();
    images.pull(&reference, PullPolicy::Always).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{}/move", upstream.address)).send().await.unwrap();
    let pulled = images.pull(&reference, PullPolicy::Always).await.unwrap();
    assert!(pulled.id.ends_with(&new.digest) && pulled.transfer.is_some());
    let seen = upstream.seen();
    let base = blobs(&seen).iter().filter(|ask| ask.path.ends_with(&old.layers[0])).count();
    assert_eq!(base, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_gone_is_made_again_without_the_registry() {
    let host = Host::new();
    let upstream = Upstream::of(two_layers());
    let (images, reference) = (host.images(), upstream.reference());
    images.pull(&reference, PullPolicy::Always).await.unwrap();
    let local = images.local(&reference).await.unwrap().unwrap();
    upstream.forget();
    host.words(&["snapshots", "remove", &local.chain_id]);
    assert_eq!(images.local(&reference).await.unwrap(), None);
    images.pull(&reference, PullPolicy::Never).await.unwrap();
    assert_eq!(images.local(&reference).await.unwrap(), Some(local));
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_are_asked_first_and_one_that_fails_is_passed_over() {
    let host = Host::new();
    let artifact = two_layers();
    let broken = Upstream::new(|_, _| Reply::new(500, "out of order"));
    let mirror = Upstream::of(artifact.clone());
    host.hosts_toml(
        "docker.io",
        &format!(
            "server = \"http://127.0.0.1:1\"\n\
             [host.\"http://{}\"]\n\
             [host.\"http://{}/proxy\"]\ncapabilities = [\"pull\", \"resolve\"]\nheader = {{ x-team = \"a\" }}\n",
            broken.address, mirror.address
        ),
    );
    let images = host.images();
    let pulled = images.pull("luksa/batch-job:1", PullPolicy::Always).await.unwrap();
    assert_eq!(pulled.id, format!("docker.io/luksa/batch-job@{}", artifact.digest));
    assert!(!broken.seen().is_empty());
    for ask in mirror.seen() {
        assert!(ask.path.starts_with("/proxy/v2/luksa/batch-job/"), "{}", ask.path);
        assert_eq!((ask.query.as_str(), ask.header("x-team")), ("ns=docker.io", Some("a")));
    }
    let message = refused(&images, "luksa/batch-job:2").await;
    assert!(message.contains("500 Internal Server Error: out of order"), "{message}");
    assert!(message.contains("manifest unknown") && message.contains("127.0.0.1:1"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_there_is_one_transfer() {
    let host = Host::new();
    let artifact = two_layers();
    let upstream = Upstream::of(artifact.clone());
    let (images, reference) = (host.images(), upstream.reference());
    let pulls = (0..5).map(|n| {
        let policy = if n % 2 == 0 { PullPolicy::Always } else { PullPolicy::IfNotPresent };
        images.pull(&reference, policy)
    });
    let pulled = futures::future::join_all(pulls).await;
    assert!(pulled.iter().all(|one| *one == pulled[0] && one.is_ok()), "{pulled:?}");
    assert_eq!(blobs(&upstream.seen()).len(), artifact.blobs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_with_layers_in_common_fetch_them_once_also_at_the_same_time() {
    let host = Host::new();
    let artifact = two_layers();
    let upstream = Upstream::of(artifact.clone());
    let images = host.images();
    let names = ["a", "b", "c"].map(|name| format!("{}/{name}:1", upstream.address));
    let pulls = names.iter().map(|name| images.pull(name, PullPolicy::Always));
    let pulled = futures::future::join_all(pulls).await;
    assert!(pulled.iter().all(Result::is_ok), "{pulled:?}");
    assert_eq!(blobs(&upstream.seen()).len(), artifact.blobs.len());
    for name in &names {
        assert!(images.local(name).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_may_have_no_layers() {
    let host = Host::new();
    let upstream = Upstream::of(image(Format::Oci, &[]));
    let (images, reference) = (host.images(), upstream.reference());
    images.pull(&reference, PullPolicy::Always).await.unwrap();
    assert_eq!(images.local(&reference).await.unwrap().unwrap().chain_id, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_breaks_nothing_and_the_last_one_ends_the_transfer() {
    let host = Host::new();
    let artifact = two_layers();
    let layer = artifact.layers[0].clone();
    let is_open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&is_open);
    let upstream = Upstream::new(move |ask, _| {
        let reply = serve_artifact(&artifact, ask);
        let is_shut = !opened.load(Ordering::SeqCst) && ask.path.ends_with(&layer);
        Reply { stall_at: is_shut.then_some(1000), ..reply }
    });
    let (images, reference) = (host.images(), upstream.reference());
    let mut pulls = images.pulls();

    // The first two go away in the middle; the third is not disturbed.
    let mut first = Box::pin(images.pull(&reference, PullPolicy::Always));
    let mut second = Box::pin(images.pull(&reference, PullPolicy::Always));
    let mut third = Box::pin(images.pull(&reference, PullPolicy::Always));
    assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
    tokio::select! {
        done = &mut first => panic!("{done:?}"),
        seen = pulls.wait_for(is_going) => drop(seen.unwrap()),
    }
    drop((first, second));
    is_open.store(true, Ordering::SeqCst);
    third.await.unwrap();

    // Nobody is left: it stops.
    is_open.store(false, Ordering::SeqCst);
    host.words(&["images", "remove", "--sync", &reference]);
    let mut last = Box::pin(images.pull(&reference, PullPolicy::Always));
    tokio::select! {
        done = &mut last => panic!("{done:?}"),
        seen = pulls.wait_for(is_going) => drop(seen.unwrap()),
    }
    drop(last);
    assert!(images.pulls().borrow().is_empty());
    assert_eq!(host.words(&["leases", "list", "-q"]).len(), 1);
    images.sweep().await.unwrap();
    assert!(host.words(&["leases", "list", "-q"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_with_the_credential_and_goes_to_no_other_host() {
    let host = Host::new();
    let artifact = two_layers();
    let elsewhere = Upstream::of(artifact.clone());
    let storage = elsewhere.address;
    let upstream = Upstream::new(move |ask, _| {
        let own = ask.header("host").unwrap().to_owned();
        if ask.path == "/token" {
            let scope = ask.query.contains("scope=repository%3Ateam%2Fapp%3Apull");
            let me = ask.header("authorization") == Some("Basic bWU6c2VjcmV0");
            return match scope && me && ask.query.contains("service=reg") {
                true => Reply::new(200, r#"{"token":"opensesame"}"#),
                false => Reply::new(401, r#"{"details":"incorrect username or password"}"#),
            };
        }
        if ask.header("authorization") != Some("Bearer opensesame") {
            let challenge = format!("Bearer realm=\"http://{own}/token\",service=\"reg\"");
            return Reply::error(401, "UNAUTHORIZED", "authentication required")
                .with("www-authenticate", challenge);
        }
        if ask.is_blob() {
            return Reply::new(307, "").with("location", format!("http://{storage}{}", ask.path));
        }
        serve_artifact(&artifact, ask)
    });
    let (images, reference) = (host.images(), upstream.reference());
    let message = refused(&images, &reference).await;
    assert!(
        message.contains("anonymous access: 401 Unauthorized: incorrect username"),
        "{message}"
    );
    assert!(message.contains("~/.docker/config.json"), "{message}");

    host.docker_config(&format!(
        r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#,
        upstream.address
    ));
    upstream.forget();
    images.pull(&reference, PullPolicy::Always).await.unwrap();
    let tokens = upstream.seen().iter().filter(|ask| ask.path == "/token").count();
    assert_eq!(tokens, 1);
    assert!(!elsewhere.seen().is_empty());
    assert!(elsewhere.seen().iter().all(|ask| ask.header("authorization").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_brings_credentials_of_its_own_which_are_nobody_elses() {
    let host = Host::new();
    let artifact = two_layers();
    let upstream = Upstream::new(move |ask, _| match ask.header("authorization") {
        Some("Basic bWU6c2VjcmV0") => serve_artifact(&artifact, ask),
        _ => Reply::error(401, "UNAUTHORIZED", "authentication required")
            .with("www-authenticate", "Basic realm=\"r\""),
    });
    let (images, reference) = (host.images(), upstream.reference());
    let login =
        |auth: &str| format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, upstream.address);
    let (wrong, right) = (login("d3Jvbmc6cHc="), login("bWU6c2VjcmV0"));
    let pull = async |logins: Vec<String>| {
        images.pull_with(&reference, PullPolicy::Always, &Logins::new(logins)).await
    };
    assert!(pull(vec![wrong.clone()]).await.is_err());
    pull(vec![wrong, right]).await.unwrap();
    assert!(pull(Vec::new()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_token_is_exchanged_and_a_password_is_sent_where_that_is_wanted() {
    let host = Host::new();
    let artifact = two_layers();
    let of_token = artifact.clone();
    let by_token = Upstream::new(move |ask, _| {
        let own = ask.header("host").unwrap().to_owned();
        if ask.path == "/token" {
            let is_form = ask.method == "POST"
                && ask.body.contains("grant_type=refresh_token")
                && ask.body.contains("refresh_token=idt");
            let answer = if is_form { r#"{"access_token":"t"}"# } else { "{}" };
            return Reply::new(200, answer);
        }
        match ask.header("authorization") {
            Some("Bearer t") => serve_artifact(&of_token, ask),
            _ => Reply::new(401, "")
                .with("www-authenticate", format!("Bearer realm=\"http://{own}/token\"")),
        }
    });
    let by_password = Upstream::new(move |ask, _| match ask.header("authorization") {
        Some("Basic bWU6c2VjcmV0") => serve_artifact(&artifact, ask),
        _ => Reply::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
    });
    let auths = json!({ "auths": {
        by_token.address.to_string(): { "identitytoken": "idt" },
        by_password.address.to_string(): { "username": "me", "password": "secret" },
    } });
    host.docker_config(&auths.to_string());
    let images = host.images();
    images.pull(&by_token.reference(), PullPolicy::Always).await.unwrap();
    images.pull(&by_password.reference(), PullPolicy::Always).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_busy_is_asked_again_when_it_says() {
    let host = Host::new();
    let artifact = two_layers();
    let upstream = Upstream::new(move |ask, seen| match seen.len() {
        0 => Reply::error(429, "TOOMANYREQUESTS", "slow down").with("retry-after", "0"),
        1 => Reply::new(503, ""),
        n if n % 4 == 0 => Reply::new(502, "<html>"),
        _ => serve_artifact(&artifact, ask),
    });
    host.images().pull(&upstream.reference(), PullPolicy::Always).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_tells_the_host_its_words_and_the_cure() {
    let host = Host::new();
    let images = host.images();
    let words =
        |status, code, message| move |_: &Ask, _: &[Ask]| Reply::error(status, code, message);
    for (upstream, expected) in [
        (
            Upstream::new(words(404, "NAME_UNKNOWN", "repository name not known")),
            vec!["404 Not Found", "repository name not known", "check its name"],
        ),
        (
            Upstream::new(words(403, "DENIED", "access is denied")),
            vec!["403 Forbidden", "access is denied", "~/.docker/config.json"],
        ),
        (
            Upstream::new(words(429, "TOOMANYREQUESTS", "rate limit")),
            vec!["429 Too Many Requests", "rate limit", "rate limited: retry later"],
        ),
        (
            Upstream::new(|_, _| Reply::new(429, "").with("retry-after", "3600")),
            vec!["429 Too Many Requests", "rate limited: retry later"],
        ),
        (
            Upstream::new(|_, _| Reply::new(200, "<html>hi").with("content-type", "text/html")),
            vec!["it answers text/html where a manifest was asked for"],
        ),
        (
            Upstream::new(|_, _| Reply::new(200, r#"{"schemaVersion":2}"#)),
            vec!["neither an image's nor an index"],
        ),
        (
            Upstream::new(|_, _| Reply { stall_at: Some(0), ..Reply::new(200, "x") }),
            vec!["nothing came for 0.5 s"],
        ),
    ] {
        let message = refused(&images, &upstream.reference()).await;
        assert!(message.starts_with(&format!("{}: ", upstream.reference())), "{message}");
        for words in expected {
            assert!(message.contains(words), "{words}: {message}");
        }
    }
    assert!(host.words(&["images", "list", "-q"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_be_spoken_to_is_told_with_the_cure() {
    let mut host = Host::new();
    let images = host.images();
    let plain = host.start_registry("").to_string();
    host.hosts_toml(&plain, &format!("server = \"https://{plain}\""));
    for (reference, words) in [
        (format!("{plain}/x:1"), format!("hosts.toml (`server = \"http://{plain}\"`)")),
        ("127.0.0.1:1/x:1".to_owned(), "check that it is up".to_owned()),
        ("kiln-test.invalid/x:1".to_owned(), "this host's DNS".to_owned()),
    ] {
        let message = refused(&images, &reference).await;
        assert!(message.contains(&words), "{message}");
    }
    host.hosts_toml(&plain, "server = 1");
    let message = refused(&images, &format!("{plain}/x:1")).await;
    assert!(message.contains("hosts.toml: server is no string"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_with_another_digest_is_refused_and_not_kept() {
    let host = Host::new();
    let artifact = two_layers();
    let layer = artifact.layers[0].clone();
    let wrong_blob = Upstream::new(move |ask, _| {
        let mut reply = serve_artifact(&artifact, ask);
        if ask.path.ends_with(&layer) {
            reply.body[100] ^= 1;
        }
        reply
    });
    let other = image(Format::Docker, &[Packing::Plain]);
    let wrong_manifest = Upstream::new(move |ask, _| {
        let mut reply = serve_artifact(&other, ask);
        if ask.method == "GET" && ask.path.ends_with(&other.digest) {
            reply.body.push(b'\n');
        }
        reply
    });
    let images = host.images();
    let message = refused(&images, &wrong_blob.reference()).await;
    assert!(message.contains("what it sends does not have the digest sha256:"), "{message}");
    let ingests = host.words(&["content", "active"]);
    assert!(!ingests.iter().any(|word| word.starts_with("layer-")), "{ingests:?}");
    let message = refused(&images, &wrong_manifest.reference()).await;
    assert!(message.contains("the manifest does not have the digest"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_breaks_or_stalls_goes_on_where_it_was() {
    let host = Host::new();
    let artifact = incompressible(3 << 20);
    let layer = artifact.layers[0].clone();
    let of_layer = layer.clone();
    let upstream = Upstream::new(move |ask, seen| {
        let reply = serve_artifact(&artifact, ask);
        let before = seen.iter().filter(|ask| ask.path.ends_with(&of_layer)).count();
        match before {
            _ if !ask.path.ends_with(&of_layer) => reply,
            0 => Reply { cut_at: Some(1 << 20), ..reply },
            1 => Reply { stall_at: Some(1 << 20), ..reply },
            // This one does not know ranges.
            2 => Reply {
                status: 200,
                ..serve_artifact(&artifact, &Ask { headers: vec![], ..ask.clone() })
            },
            _ => Reply::new(500, "too often"),
        }
    });
    let images = host.images();
    let pulled = images.pull(&upstream.reference(), PullPolicy::Always).await.unwrap();
    assert!(pulled.transfer.unwrap().bytes < (3 << 20) + (100 << 10), "nothing is written twice");
    let seen = upstream.seen();
    let asks = blobs(&seen).into_iter().filter(|ask| ask.path.ends_with(&layer));
    let ranges: Vec<_> = asks.map(|ask| ask.header("range").unwrap_or("none").to_owned()).collect();
    let expected = [0, 1 << 20, 2 << 20].map(|at| match at {
        0 => "none".to_owned(),
        at => format!("bytes={at}-"),
    });
    assert_eq!(ranges, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_outlives_a_containerd_that_is_killed_in_the_middle() {
    let mut host = Host::new();
    let artifact = incompressible(3 << 20);
    let layer = artifact.layers[0].clone();
    let of_layer = layer.clone();
    let is_open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&is_open);
    let upstream = Upstream::new(move |ask, _| {
        let is_shut = ask.path.ends_with(&of_layer) && !opened.load(Ordering::SeqCst);
        Reply { stall_at: is_shut.then_some(1 << 20), ..serve_artifact(&artifact, ask) }
    });
    let (images, reference) = (host.images(), upstream.reference());
    let mut pulls = images.pulls();
    let mut pull = Box::pin(images.pull(&reference, PullPolicy::Always));
    tokio::select! {
        done = &mut pull => panic!("{done:?}"),
        seen = pulls.wait_for(is_going) => drop(seen.unwrap()),
    }
    host.kill_containerd();
    let message = match pull.await {
        Err(PullError::Retry { message }) => message,
        other => panic!("containerd is away: {other:?}"),
    };
    assert!(message.contains("c.sock"), "{message}");

    host.start_containerd();
    upstream.forget();
    is_open.store(true, Ordering::SeqCst);
    images.pull(&reference, PullPolicy::Always).await.unwrap();
    let seen = upstream.seen();
    let ask = *blobs(&seen).iter().find(|ask| ask.path.ends_with(&layer)).unwrap();
    let offset: usize = ask
        .header("range")
        .unwrap()
        .strip_prefix("bytes=")
        .unwrap()
        .trim_end_matches('-')
        .parse()
        .unwrap();
    assert!(offset > 0);
    assert!(images.local(&reference).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_called_by_its_name() {
    let host = Host::with_disk(6);
    let upstream = Upstream::of(incompressible(12 << 20));
    let message = refused(&host.images(), &upstream.reference()).await;
    assert!(message.contains("the disk of containerd is full"), "{message}");
    assert!(message.contains("free some space"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_registry_is_asked_with_its_ca_and_a_certificate_of_this_client() {
    let mut host = Host::new();
    let artifact = two_layers();
    let open = host.start_registry("");
    artifact.push(open, "app").await;
    host.stop_registry();
    let files = host.path("tls");
    certificates(&files);
    let tls = format!(
        "  tls:\n    certificate: {0}/me.cert\n    key: {0}/me.key\n    clientcas: [{0}/ca.crt]\n",
        files.display()
    );
    let registry = host.start_registry(&tls);
    let (images, reference) = (host.images(), format!("{registry}/app:1"));
    let server = format!("server = \"https://{registry}\"\nskip_verify = false\n");
    host.hosts_toml(&registry.to_string(), &server);
    let message = refused(&images, &reference).await;
    assert!(message.contains("name its CA in hosts.toml"), "{message}");
    let ca = format!("ca = \"{}/ca.crt\"\n", files.display());
    host.hosts_toml(&registry.to_string(), &format!("{server}{ca}"));
    refused(&images, &reference).await;
    let client = format!("client = [[\"{0}/me.cert\", \"{0}/me.key\"]]\n", files.display());
    host.hosts_toml(&registry.to_string(), &format!("{server}{ca}{client}"));
    images.pull(&reference, PullPolicy::Always).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_program_left_in_the_content_store_is_used_or_replaced() {
    let host = Host::new();
    let artifact = incompressible(1 << 20);
    let layer = artifact.layers[0].clone();
    let upstream = Upstream::of(artifact);
    // A write that was begun with something else under the same name.
    let ingest = format!(
        "echo nonsense | ctr -a {} -n kiln content ingest layer-{layer} --expected-size 1049600",
        host.path("c.sock").display()
    );
    let _ = std::process::Command::new("sh").args(["-c", &ingest]).output().unwrap();
    until("it is there", || {
        host.words(&["content", "active"]).iter().any(|w| w.starts_with("layer-"))
    });
    host.images().pull(&upstream.reference(), PullPolicy::Always).await.unwrap();
}
