use ipc_process::*;
fn add(a: u32, b: u32) -> u32 { a + b }
#[test]
fn it_works() {
    let mut c = spawn(add, (1, 2)).unwrap();
    assert_eq!(c.join().unwrap(), 3);
    let mut c = spawn(|x: String| panic!("oh {x}"), ("no".to_string(),)).unwrap();
    let e = c.join().map(|()| ()).unwrap_err();
    println!("{e}");
    assert_eq!(c.exit_code(), Some(101));
    let mut c = Builder::new().daemon(true).spawn(|| { let _ = spawn(|| 5, ()).unwrap_err(); let n: u32 = 7; n }, ()).unwrap();
    assert_eq!(c.join().unwrap(), 7);
    let mut c = spawn(|| spawn(|| 5, ()).unwrap().join().unwrap(), ()).unwrap();
    assert_eq!(c.join().unwrap(), 5);
    let mut c = spawn(|| std::process::exit(3), ()).unwrap();
    println!("{}", c.join().map(|()| ()).unwrap_err());
    let mut c = spawn(|| loop { std::thread::park() }, ()).unwrap();
    c.kill().unwrap();
    println!("{}", c.join().map(|()| ()).unwrap_err());
}
