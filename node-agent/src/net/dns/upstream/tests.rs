use super::*;

const OWN: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 10);

#[test]
fn the_first_three_resolvers_are_asked_and_never_we_ourselves() {
    let text = "# comment\nsearch home\nnameserver 10.66.0.10\nnameserver 192.0.2.1\n  nameserver 192.0.2.2\n\
                nameserver what?\nnameserver\nnameserver 2001:db8::1\nnameserver 192.0.2.3\n";
    let found: Vec<String> = parse_servers(text, OWN).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.1:53", "192.0.2.2:53", "[2001:db8::1]:53"]);
}

#[test]
fn only_an_answer_with_the_questions_number_is_one() {
    let question = [7; 12];
    let mut answer = [7, 7, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(is_answer(&question, &answer));
    answer[1] = 8;
    assert!(!is_answer(&question, &answer));
    assert!(!is_answer(&question, &question[..3]));
    assert!(!is_answer(&question, &[7, 7, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "an echo is no answer");
}

#[tokio::test]
async fn a_silent_resolver_is_passed_over_and_the_client_keeps_its_number() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
    let speaking = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
    let servers = vec![silent.local_addr().expect("bound"), speaking.local_addr().expect("bound")];
    let serve = tokio::spawn(async move {
        let mut question = [0; 64];
        let (length, client) = speaking.recv_from(&mut question).await.expect("asked");
        let number = u16::from_be_bytes([question[0], question[1]]);
        question[2] = 0x80;
        speaking.send_to(&question[..length], client).await.expect("answered");
        number
    });
    let question = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let answer = ask_any(&servers, &question, 0xabcd, Transport::Udp).await.expect("answered");
    assert_eq!(answer[..3], [0x12, 0x34, 0x80]);
    assert_eq!(serve.await.expect("served"), 0xabcd);
}

#[test]
fn resolvers_that_change_are_noticed() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let upstream = Upstream::new(file.path(), OWN);
    fs::write(file.path(), "nameserver 192.0.2.1").expect("written");
    assert_eq!(upstream.servers(), ["192.0.2.1:53".parse().expect("an address")]);
    fs::write(file.path(), "nameserver 192.0.2.2").expect("written");
    assert_eq!(upstream.servers(), ["192.0.2.2:53".parse().expect("an address")]);
}
