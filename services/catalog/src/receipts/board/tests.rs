use super::*;

fn id(number: u128) -> OpaqueId {
    OpaqueId::new(number)
}

fn reader(number: u128) -> Receiver {
    Receiver {
        id: id(number),
        name: format!("gw-{number}").parse().unwrap(),
    }
}

fn receipt(stream: u128, revision: u64, refused: &[u64]) -> Receipt {
    Receipt {
        stream: id(stream),
        revision: Revision(revision),
        refused: Refused::first_of(refused.iter().copied().map(ServiceId)),
        draining: DrainCounts::default(),
    }
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Names of those who are behind.
fn behind(board: &Board, revision: u64, now: Instant) -> Vec<String> {
    let behind = board.behind(Revision(revision), Some(ServiceId(7)), now);
    behind
        .iter()
        .map(|behind| behind.name.to_string())
        .collect()
}

#[test]
fn everyone_who_reads_must_have_said_so() {
    let (mut board, now) = (Board::default(), Instant::now());
    assert!(behind(&board, 5, now).is_empty());
    board.open(id(1), reader(1), now);
    board.open(id(2), reader(2), now);
    assert_eq!(behind(&board, 5, now), ["gw-1", "gw-2"]);
    board.take(&receipt(1, 5, &[]), now).unwrap();
    board.take(&receipt(2, 4, &[]), now).unwrap();
    assert_eq!(behind(&board, 5, now), ["gw-2"]);
    // What was overtaken on its way takes nothing back.
    board.take(&receipt(1, 3, &[]), now).unwrap();
    assert_eq!(behind(&board, 5, now), ["gw-2"]);
    board.close(id(2), now);
    assert!(behind(&board, 5, now).is_empty());
    assert_eq!(board.take(&receipt(2, 9, &[]), now), Err(UnknownStream));
}

#[test]
fn what_was_refused_is_not_in_effect() {
    let (mut board, now) = (Board::default(), Instant::now());
    board.open(id(1), reader(1), now);
    board.take(&receipt(1, 5, &[7]), now).unwrap();
    let missing = board.behind(Revision(5), Some(ServiceId(7)), now);
    assert!(missing[0].refused && missing[0].revision == Some(Revision(5)));
    assert!(
        board
            .behind(Revision(5), Some(ServiceId(8)), now)
            .is_empty()
    );
    board.take(&receipt(1, 6, &[]), now).unwrap();
    assert!(behind(&board, 6, now).is_empty());
}

#[test]
fn who_is_silent_or_reads_a_newer_stream_is_not_waited_for() {
    let (mut board, start) = (Board::default(), Instant::now());
    board.open(id(1), reader(1), start);
    assert_eq!(behind(&board, 1, start + SILENCE_MAX), ["gw-1"]);
    assert!(behind(&board, 1, start + SILENCE_MAX + ms(1)).is_empty());
    // The same gateway came again before the first stream was known to be lost.
    let later = start + ms(10);
    board.open(id(2), reader(1), later);
    board.take(&receipt(2, 1, &[]), later).unwrap();
    assert!(behind(&board, 1, later).is_empty());
}

#[test]
fn propagation_is_counted_once_per_write_and_gateway_and_not_for_the_first_receipt() {
    let (mut board, start) = (Board::default(), Instant::now());
    board.open(id(1), reader(1), start);
    assert!(board.accepted(Revision(1), start, start + ms(1)).is_empty());
    let first = board.take(&receipt(1, 1, &[]), start + ms(2));
    assert_eq!(first, Ok(vec![]));
    board.accepted(Revision(2), start + ms(3), start + ms(4));
    board.accepted(Revision(3), start + ms(4), start + ms(5));
    let both = board.take(&receipt(1, 3, &[]), start + ms(9));
    assert_eq!(both, Ok(vec![ms(6), ms(5)]));
    let again = board.take(&receipt(1, 3, &[]), start + ms(10));
    assert_eq!(again, Ok(vec![]));
    // Faster than the store's answer.
    board.take(&receipt(1, 4, &[]), start + ms(15)).unwrap();
    let overtaken = board.accepted(Revision(4), start + ms(11), start + ms(16));
    assert_eq!(overtaken, [ms(4)]);
}

/// One turn of two catalogs over a store that is a map.
fn exchange(
    one: &mut Board,
    other: &mut Board,
    store: &mut HashMap<OpaqueId, ReceiverNote>,
    now: Instant,
) -> Vec<Duration> {
    for board in [&mut *other, &mut *one] {
        let notes = board.take_notes(now);
        for note in notes.news {
            let newer = store
                .get(&note.stream)
                .is_none_or(|known| known.revision <= note.revision);
            if newer {
                store.insert(note.stream, note);
            }
        }
        store.retain(|stream, _| !notes.ended.contains(stream));
    }
    let all: Vec<ReceiverNote> = store.values().cloned().collect();
    other.see(all.clone(), now, now);
    one.see(all, now, now)
}

#[test]
fn catalogs_learn_of_each_others_readers() {
    let (mut one, mut other) = (Board::default(), Board::default());
    let (mut store, start) = (HashMap::new(), Instant::now());
    other.open(id(1), reader(1), start);
    other.take(&receipt(1, 1, &[]), start).unwrap();
    exchange(&mut one, &mut other, &mut store, start);
    assert!(one.is_anybody_elsewhere() && !other.is_anybody_elsewhere());
    one.accepted(Revision(2), start, start);
    assert_eq!(behind(&one, 2, start), ["gw-1"]);
    other.take(&receipt(1, 2, &[7]), start + ms(3)).unwrap();
    let counted = exchange(&mut one, &mut other, &mut store, start + ms(4));
    assert_eq!(counted, [ms(4)]);
    assert!(one.behind(Revision(2), None, start + ms(4)).is_empty());
    assert_eq!(behind(&one, 2, start + ms(4)), ["gw-1"]);
    // A receipt that came to the wrong catalog.
    one.take(&receipt(1, 3, &[]), start + ms(5)).unwrap();
    assert_eq!(behind(&other, 3, start + ms(5)), ["gw-1"]);
    exchange(&mut one, &mut other, &mut store, start + ms(6));
    assert!(behind(&other, 3, start + ms(6)).is_empty());
    other.close(id(1), start + ms(7));
    exchange(&mut one, &mut other, &mut store, start + ms(7));
    assert!(!one.is_anybody_elsewhere() && store.is_empty());
}

#[test]
fn what_could_not_be_told_is_told_with_everything_else() {
    let (mut board, now) = (Board::default(), Instant::now());
    board.open(id(1), reader(1), now);
    board.open(id(2), reader(2), now);
    assert_eq!(board.take_notes(now).news.len(), 2);
    board.take(&receipt(1, 1, &[]), now).unwrap();
    board.close(id(2), now);
    board.open(id(3), reader(3), now);
    let notes = board.take_notes(now);
    assert_eq!((notes.news.len(), notes.ended.len()), (2, 1));
    assert!(board.take_notes(now).news.is_empty());
    board.put_back(notes);
    let notes = board.take_notes(now);
    assert_eq!((notes.news.len(), notes.ended.len()), (2, 1));
    // And everyone again after a while, so that nobody seems to be gone.
    assert_eq!(board.take_notes(now + LOOK_IDLE).news.len(), 2);
    let last = board.take_last_notes();
    assert_eq!((last.news.len(), last.ended.len()), (0, 2));
}

#[test]
fn looks_become_fewer_with_time() {
    let (mut board, start) = (Board::default(), Instant::now());
    assert_eq!(board.until_look(start), Duration::ZERO);
    board.see(Vec::new(), start, start);
    assert_eq!(board.until_look(start), LOOK_IDLE);
    board.wait_begins(start + ms(1));
    assert_eq!(board.until_look(start + ms(1)), Duration::ZERO);
    board.see(Vec::new(), start + ms(1), start + ms(2));
    assert_eq!(board.until_look(start + ms(1)), LOOK_MIN);
    board.see(Vec::new(), start + ms(2_001), start + ms(2_001));
    assert_eq!(board.until_look(start + ms(2_001)), ms(500));
    board.wait_ends(start + ms(1));
    assert_eq!(board.until_look(start + ms(2_001)), LOOK_IDLE);
    board.take(&receipt(9, 1, &[]), start).unwrap_err();
    assert_eq!(board.until_look(start + ms(2_001)), LOOK_FOR_STRANGER);
}

#[test]
fn nobody_is_sure_while_the_store_is_away_and_for_a_while_afterwards() {
    let (mut board, start) = (Board::default(), Instant::now());
    board.see(Vec::new(), start, start);
    assert!(board.has_looked_since(start));
    board.lost_sight();
    let back = start + 2 * SETTLING;
    // It answers already, without anything in it: this catalog has not noticed that it is another one.
    board.look_failed(start + ms(1));
    board.see(Vec::new(), back, back);
    assert!(!board.has_looked_since(start));
    assert!(board.regained_sight(back));
    assert!(!board.regained_sight(back + SETTLING));
    board.see(Vec::new(), back + ms(1), back + ms(1));
    assert!(!board.has_looked_since(start));
    let settled = back + SETTLING;
    board.see(Vec::new(), settled, settled);
    assert!(board.has_looked_since(start) && !board.has_looked_since(settled + ms(1)));
}

#[test]
fn after_a_look_that_failed_nobody_is_sure_for_a_while() {
    let (mut board, start) = (Board::default(), Instant::now());
    board.look_failed(start + ms(1));
    board.see(Vec::new(), start + ms(2), start + ms(2));
    assert!(!board.has_looked_since(start));
    let settled = start + ms(1) + SETTLING;
    board.see(Vec::new(), settled, settled);
    assert!(board.has_looked_since(start));
}
