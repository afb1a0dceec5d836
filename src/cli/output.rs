//! What the process prints: the only place that does.
//!
//! Owns: standard output and standard error, one thread that writes both, and the live view's place
//! below them. Must not know: what is said.
//!
//! A terminal that is halted, or a reader that is slow, blocks that thread and holds up the containers'
//! output, never the engine, nor who waits for an interrupt.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many pieces of output wait to be written before whoever has more has to wait.
const QUEUE_MAX: usize = 64;
/// Pieces are written together up to this size.
const BATCH_BYTES: usize = 256 * 1024;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Stdout,
    Stderr,
}

#[derive(Debug)]
struct Piece {
    target: Target,
    bytes: Vec<u8>,
    /// Its place among the pieces that wait.
    place: Option<OwnedSemaphorePermit>,
}

/// A way to print. Cheap to clone; all clones print in the order in which they are asked to.
#[derive(Debug, Clone)]
pub struct Output {
    pieces: mpsc::UnboundedSender<Piece>,
    places: Arc<Semaphore>,
    closed: CancellationToken,
}

impl Output {
    /// Passes on what somebody else wrote; waits while too much of that is waiting already.
    pub async fn pass_on(&self, target: Target, bytes: Vec<u8>) {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        self.send(Piece { target, bytes, place });
    }

    /// Prints what was asked for on standard output.
    pub fn print(&self, text: String) {
        self.send(Piece { target: Target::Stdout, bytes: text.into_bytes(), place: None });
    }

    /// Says something of kiln's own: a line, or several.
    pub fn say(&self, text: &str) {
        let mut bytes = text.trim_end_matches('\n').as_bytes().to_vec();
        bytes.push(b'\n');
        self.send(Piece { target: Target::Stderr, bytes, place: None });
    }

    fn send(&self, piece: Piece) {
        // The thread is there for as long as there is an output.
        let _ = self.pieces.send(piece);
    }

    /// Waits until nobody reads standard output any more. Cancel-safe.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct Printer {
    output: Output,
    done: oneshot::Receiver<()>,
    view: MultiProgress,
}

impl Printer {
    /// Prints to the process's own streams. `live`: with room for a view on standard error.
    pub fn standard(live: bool) -> io::Result<Self> {
        let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let view = MultiProgress::with_draw_target(target);
        Self::start(Box::new(io::stdout()), Box::new(io::stderr()), view)
    }

    /// Keeps what is printed.
    pub fn captured() -> io::Result<(Self, Captured)> {
        let captured = Captured::default();
        let view = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let (stdout, stderr) = (captured.stdout.clone(), captured.stderr.clone());
        Ok((Self::start(Box::new(stdout), Box::new(stderr), view)?, captured))
    }

    fn start(
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
        view: MultiProgress,
    ) -> io::Result<Self> {
        let (pieces, queue) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(QUEUE_MAX));
        let closed = CancellationToken::new();
        let (finished, done) = oneshot::channel();
        let mut writer =
            Writer { stdout: Some(stdout), stderr, view: view.clone(), closed: closed.clone() };
        std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            writer.run(queue);
            // Nobody may wait for it.
            let _ = finished.send(());
        })?;
        Ok(Self { output: Output { pieces, places, closed }, done, view })
    }

    pub fn output(&self) -> Output {
        self.output.clone()
    }

    /// Where a live view can be drawn.
    pub fn view(&self) -> MultiProgress {
        self.view.clone()
    }

    /// Writes diagnostics of the program itself, above the live view.
    pub fn diagnostics(&self) -> Diagnostics {
        Diagnostics { view: self.view.clone() }
    }

    /// Returns when all is written and no other output is left.
    pub async fn finish(self) {
        drop(self.output);
        // The thread has ended either way.
        let _ = self.done.await;
    }
}

struct Writer {
    /// `None`: nobody reads it any more.
    stdout: Option<Box<dyn Write + Send>>,
    stderr: Box<dyn Write + Send>,
    view: MultiProgress,
    closed: CancellationToken,
}

impl Writer {
    fn run(&mut self, mut queue: mpsc::UnboundedReceiver<Piece>) {
        let mut next = queue.blocking_recv();
        while let Some(mut piece) = next {
            next = None;
            while piece.bytes.len() < BATCH_BYTES && next.is_none() {
                match queue.try_recv() {
                    Ok(more) if more.target == piece.target => {
                        piece.bytes.extend(more.bytes);
                        drop(more.place);
                    }
                    Ok(other) => next = Some(other),
                    Err(_) => break,
                }
            }
            self.write(&piece);
            next = next.or_else(|| queue.blocking_recv());
        }
    }

    fn write(&mut self, piece: &Piece) {
        let view = self.view.clone();
        view.suspend(|| match piece.target {
            Target::Stdout => self.write_stdout(&piece.bytes),
            // There is nowhere left to complain.
            Target::Stderr => drop(put(&mut self.stderr, &piece.bytes)),
        });
    }

    fn write_stdout(&mut self, bytes: &[u8]) {
        let Some(stdout) = &mut self.stdout else { return };
        let Err(error) = put(stdout, bytes) else { return };
        if error.kind() != io::ErrorKind::BrokenPipe {
            let text = format!("error: cannot write to standard output: {error}\n");
            let _ = put(&mut self.stderr, text.as_bytes());
        }
        self.stdout = None;
        self.closed.cancel();
    }
}

fn put(stream: &mut Box<dyn Write + Send>, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// Where diagnostics go.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    view: MultiProgress,
}

impl Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.view.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was printed.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    stdout: Kept,
    stderr: Kept,
}

impl Captured {
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn everything_is_written_in_order_before_the_end() {
        let (printer, captured) = Printer::captured().unwrap();
        let output = printer.output();
        for number in 0..1000 {
            output.pass_on(Target::Stdout, format!("{number}\n").into_bytes()).await;
        }
        output.say("the end\n");
        drop(output);
        printer.finish().await;
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!((captured.stdout(), captured.stderr()), (expected, "the end\n".to_owned()));
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_told_quietly() {
        let kept = Kept::default();
        let view = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let printer = Printer::start(Box::new(Broken), Box::new(kept.clone()), view).unwrap();
        let output = printer.output();
        output.pass_on(Target::Stdout, b"for nobody\n".to_vec()).await;
        output.closed().await;
        output.pass_on(Target::Stdout, b"for nobody\n".to_vec()).await;
        drop(output);
        printer.finish().await;
        assert_eq!(kept.text(), "");
    }
}
