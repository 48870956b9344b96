//! The copy on disk: a gateway starts and serves while nobody can be asked.

use std::path::{Path, PathBuf};

use gateway::{Gateway, StartError};
use service_kit::shutdown::{self, ShutdownTrigger};
use tempfile::TempDir;

use crate::harness::{Backend, Catalog, Mood, Rig, config, eventually, get, listeners, service};

const FILE_NAME: &str = "gateway-snapshot.json";
const KEY_NAME: &str = "gateway-sticky-key";

/// A gateway on a folder, with a catalog that says nothing.
async fn alone(data: &Path) -> Result<(Gateway, Catalog, ShutdownTrigger), StartError> {
    let catalog = Catalog::start().await;
    catalog.be(Mood::Refusing);
    let (stop, stopping) = shutdown::channel();
    let gateway = Gateway::start(config(data, &[&catalog]), listeners(), stopping).await?;
    Ok((gateway, catalog, stop))
}

fn set_aside(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name().unwrap() != FILE_NAME && path.file_name().unwrap() != KEY_NAME
        })
        .collect()
}

#[tokio::test]
async fn a_gateway_starts_from_its_copy_when_the_catalog_is_down() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    let copy = rig.data().join(FILE_NAME);
    eventually("the copy has it", async || {
        std::fs::read_to_string(&copy).is_ok_and(|text| text.contains("hold"))
    })
    .await;
    // The last change comes right before the stop.
    rig.put(service("last", &[&backend])).await;
    rig.stop.trigger();
    let Rig {
        gateway,
        catalog: _catalog,
        ..
    } = &rig;
    let (revision, address) = (gateway.live().load().revision(), gateway.address());
    let folder = TempDir::new().unwrap();
    eventually("the copy has the last change", async || {
        std::fs::read_to_string(&copy).is_ok_and(|text| text.contains("last"))
    })
    .await;
    std::fs::copy(&copy, folder.path().join(FILE_NAME)).unwrap();
    let (second, _catalog, _stop) = alone(folder.path()).await.unwrap();
    assert_ne!(second.address(), address);
    assert!(second.readiness().is_ready());
    assert_eq!(second.live().load().revision(), revision);
    for target in ["/hold/", "/last/"] {
        assert_eq!(get(second.address(), target).await.text(), "b", "{target}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_copy_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::start().await;
    let copy = rig.data().join(FILE_NAME);
    eventually("there is a copy", async || copy.exists()).await;
    let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_copy_that_makes_no_sense_is_set_aside() {
    for content in [
        "{",
        "",
        r#"{"format":99,"revision":1,"services":[]}"#,
        r#"{"format":1,"revision":1,"services":[{"id":1,"name":"NOT A NAME"}]}"#,
    ] {
        let data = TempDir::new().unwrap();
        std::fs::write(data.path().join(FILE_NAME), content).unwrap();
        let (gateway, _catalog, _stop) = alone(data.path()).await.unwrap();
        assert!(!gateway.readiness().is_ready(), "{content}");
        let kept = set_aside(data.path());
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), content);
        assert_eq!(get(gateway.address(), "/metrics").await.status(), 200);
    }
}

#[tokio::test]
async fn a_copy_that_cannot_be_read_stops_the_start() {
    let data = TempDir::new().unwrap();
    std::fs::create_dir(data.path().join(FILE_NAME)).unwrap();
    let error = alone(data.path()).await.err().unwrap();
    assert!(matches!(error, StartError::Copy(_)), "{error:?}");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_stops_the_start() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = alone(&file.join("below")).await.err().unwrap();
    assert!(matches!(error, StartError::DataDir { .. }), "{error:?}");
    assert!(error.to_string().contains("below"), "{error}");
}
