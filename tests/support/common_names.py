"""Names that people have, in many languages: all of them can be in one chat."""

from __future__ import annotations

_NAMES = """
Miguel Arthur Gael Théo Heitor Ravi Davi Bernardo Noah
Gabriel Samuel Pedro Anthony Isaac Benício Benjamin Matheus
Lucas Joaquim Nicolas Helena Alice Laura Valentina Heloísa
Manuela Sophia Isabella Lívia Cecília Maitê Luísa Antonella
Júlia Aurora Maria Ana Anna Ane Joana João José Antônio
Francisco Carlos Paulo Marcos Luiz Raimundo Sebastião
Rodrigo Fernando Ricardo Eduardo Gustavo Rafael Felipe
Thiago Bruno Vinícius Fernanda Mariana Camila Amanda Bruna
Letícia Juliana Priscila Aline Sandra Márcia Vera Rosa
Teresa Clara Dara Sara Lara Mara Jara Nara Yara James Mary
Robert Patricia John Jennifer Michael Linda David Elizabeth
William Barbara Richard Susan Joseph Jessica Thomas Karen
Charles Lisa Christopher Nancy Daniel Betty Matthew Sandy
Mark Ashley Steven Emily Andrew Kim Donna Joshua Michelle
Kevin Carol Brian Edward Rebecca Ronald Timothy Sharon Jason
Cynthia Jeffrey Kathleen Ryan Amy Jacob Angela Gary Shirley
Nicholas Eric Emma Jonathan Pamela Stephen Nicole Larry Ruth
Clayton Dayton Cleo Leo Deo Ella Ellie Elli Eli Ali Alia
Allie Ada Adam Alan Allan Allen Alena Bill Will Jill Gil
Phil Neil Nell Mel Bell Sven Björn Åsa Søren Jürgen Müller
Günther Käthe Zoë Renée François Hélène Chloé Anaïs Loïc
Maël Inès Ángel Íñigo Begoña Núria Òscar Łukasz Małgorzata
Agnieszka Krzysztof Zdeněk Jiří Šárka Žofie Đorđe Ivo
Zvonimir Gyöngyi Ödön Çağrı İbrahim Ayşe Işıl Umut Ilgaz
Ömer Иван Мария Анна Ольга Сергей Дмитрий Наталья Алексей
Елена Татьяна Юрий Игорь Вера Кирилл Фёдор Жанна Світлана
Олексій Ярослав Йосип Богдан Γιώργος Μαρία Ελένη Κώστας
Νίκος Δημήτρης Σοφία Αθηνά Οδυσσέας Φώτης Χρήστος محمد أحمد
علي حسن حسين فاطمة خديجة مريم نور ليلى يوسف عمر زينب سارة
رضا داریوش پریسا نگار אברהם שרה יצחק רבקה יעקב רחל משה מרים
דוד תמר נועה राम सीता गीता रीता मोहन सोहन अनिल सुनील प्रिया
रिया दिल दिली आशा ऊषा কমল বিমল রহিম করিম தமிழ் முருகன் కృష్ణ
రాధ ಅನಿತಾ ശ്രീ น้ำ ฝน ฟ้า ดาว เดือน สมชาย สมหญิง ນ້ຳ ຄຳ
မောင် နွဲ့ သူ သီရိ ស្រី សុខ 민준 서연 지우 하윤 도윤 서준 지민 ㅋㅋ ㅎㅎ 李雷
韓梅梅 王伟 王芳 张伟 张敏 山田 田中 たろう はなこ さくら ハル ハナ かな がな Nguyễn Trần
Phạm Hoàng Vũ Đặng Bùi Hồ Dương Kwame Ngozi Chinedu Ọlá
Amara Thandiwe Sipho Nomsa ʻIolani Keanu Moana O'Neil
O'Brien D'Angelo a.b a-b user1 user2 user3 bob bob_ bob2
anon neo trinity x y z q 7up k9 1º 2º 3ª
"""

COMMON_NAMES = _NAMES.split()
